"""Tell what a file of sequences or regions is by its content, whatever its name says."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import Literal

from seqlight.errors import InputError
from seqlight.files.paths import existing_file
from seqlight.files.text import BYTE_ORDER_MARK, GZIP, require_text_bytes

Kind = Literal["npy", "npz", "fasta", "regions"]

_SAM = (
    "a SAM file of aligned reads, or an interval list of Picard, which counts from 1: expected regions as BED, such as "
    "the peaks called from reads"
)
# First bytes of files that are given in place of sequences, what they are, and what to do.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"BAM\1", "a BAM file of aligned reads: expected regions to attribute, such as the peaks called from it"),
    (b"CRAM", "a CRAM file of aligned reads: expected regions to attribute, such as the peaks called from it"),
    (b"\x1a\x41\x27\x43", "a 2bit file: make FASTA of it with `twoBitToFa`"),
    (b"\x43\x27\x41\x1a", "a 2bit file: make FASTA of it with `twoBitToFa`"),
    (b"\x88\x8f\xfc\x26", "a bigWig file, a signal: expected sequences, or regions and a genome"),
    (b"\x26\xfc\x8f\x88", "a bigWig file, a signal: expected sequences, or regions and a genome"),
    (b"\x87\x89\xf2\xeb", "a bigBed file: make BED of it with `bigBedToBed`"),
    (b"\xeb\xf2\x89\x87", "a bigBed file: make BED of it with `bigBedToBed`"),
    (b"\x89HDF", "an HDF5 file: save the one-hot array in it with numpy.save"),
    (b"PAR1", "a Parquet file: write its regions as BED, tab-separated and without index"),
    (b"TBI\1", "the index of tabix: give the file that it belongs to"),
    (b"\x80", "a pickle: save the one-hot array with numpy.save"),
    (
        b"##fileformat=VCF",
        "a VCF file of variants: expected regions (BED) around them, or sequences (FASTA), which the how-to page on "
        "variants makes of both alleles",
    ),
    (b"##gff", "a GFF file: make BED of it, which counts from 0, with `gff2bed`"),
    (b"@SQ\t", _SAM),
    (b"@HD\t", _SAM),
    (b"LOCUS ", "a GenBank file: make FASTA of it"),
    (b"MEME version", "a MEME file of motifs: expected sequences, or regions and a genome"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file itself: fetch that with `git lfs pull`"),
    (b"<", "a page of HTML or XML, such as a failed download leaves: download the file itself"),
)
# How many bytes of a file, and of a line, are looked at.
_START, _LINE = 1 << 16, 1 << 10
_WANTED = "FASTA, BED, npy or npz"
_BED_LINE = re.compile(rb"[^\t\n ][^\t\n]*?[\t ]+\d+[\t ]+\d+(?:[\t ].*)?")
_GTF_LINE = re.compile(rb"(?:[^\t]+\t){3}\d+\t\d+\t[^\t]*\t[-+.?]\t[.012](?:\t.*)?")


def file_kind(path: str | os.PathLike[str]) -> Kind:
    r"""Return what a file of sequences or regions is.

    Parameters
    ----------
    path : str or path
        The file: plain, or text that gzip or bgzip has compressed.

    Returns
    -------
    {"npy", "npz", "fasta", "regions"}
        Regions are BED or narrowPeak.

    Raises
    ------
    InputError
        If it is none of these; files that are often given by mistake are named, such as BAM, 2bit and bigWig.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.txt").write_text(">a\nTTGAC\n")
    ...     file_kind(Path(folder) / "a.txt")
    'fasta'
    """
    file = existing_file(path, _WANTED, "data")
    with file.open("rb") as opened:
        start = opened.read(_START)
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    if start.startswith(GZIP):
        start = _unpacked_start(file, start)
    start = start.removeprefix(BYTE_ORDER_MARK)
    if not start.strip():
        raise InputError(f"{file} is empty: expected {_WANTED}.")
    for beginning, what in _OTHERS:
        if start.lstrip().startswith(beginning):
            raise InputError(f"{file} is {what}.")
    require_text_bytes(file, start, _WANTED)
    return _text_kind(file, start)


def _text_kind(file: Path, start: bytes) -> Kind:
    lines = [one for one in (start[: start.rfind(b"\n") + 1] or start).splitlines() if one.strip()]
    if lines and lines[0].startswith(b">"):
        return "fasta"
    regions = [one[:_LINE] for one in lines if not one.startswith((b"#", b"track", b"browser"))]
    if not regions or any(map(_BED_LINE.fullmatch, regions[:2])):
        return "regions"
    if _GTF_LINE.match(regions[0]):
        raise InputError(f"{file} is a GFF or GTF file: make BED of it, which counts from 0, with `gff2bed`.")
    if lines[0].startswith(b"@"):
        raise InputError(f"{file} is a FASTQ file: make FASTA of it, with `seqtk seq -a`.")
    first = lines[0][:60].decode("utf-8", "replace")
    # Lines of other kinds in the middle are errors of the reader, which names the line.
    if file.name.lower().removesuffix(".gz").removesuffix(".bgz").endswith((".bed", ".narrowpeak")):
        return "regions"
    raise InputError(f"{file} begins with {first!r}: expected {_WANTED}.")


def _unpacked_start(file: Path, start: bytes) -> bytes:
    found = b""
    try:
        while start.startswith(GZIP) and len(found) < _START:  # bgzip writes many members
            member = zlib.decompressobj(wbits=31)
            found += member.decompress(start, _START)
            start = member.unused_data
    except zlib.error as error:
        raise InputError(f"{file} is a damaged gzip file ({error}): copy or download it again.") from None
    if found.startswith(GZIP):
        raise InputError(f"{file} is compressed twice: unpack it once.")
    if found.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        raise InputError(f"{file} holds arrays compressed by gzip: unpack it first.")
    return found
