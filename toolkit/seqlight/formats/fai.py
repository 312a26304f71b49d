"""Keep the index of a FASTA file beside it, in the format of ``samtools faidx``, and check it when it is read."""

from __future__ import annotations

import contextlib
import mmap
import os
import shlex
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.atomic import atomic_write
from seqlight.files.bgzip import BgzipText
from seqlight.files.paths import existing_file
from seqlight.files.stamp import FileStamp
from seqlight.files.text import BYTE_ORDER_MARK, GZIP, read_text, require_text_bytes
from seqlight.formats.fasta_index import NEWLINE, RETURN, FastaIndex, build_index, header_name, scan_fasta, scan_text

# How many bytes of a line are looked at, and how many of a file to tell what it is.
_LINE, _START = 2**16, 4096


def load_fasta_index(
    path: str | os.PathLike[str], *, write: bool = True, packed: BgzipText | None = None
) -> FastaIndex:
    """Return the index of a FASTA file, made anew where there is none, or one older than the file.

    A new index is written beside the file as ``<path>.fai`` if the folder allows it. An index beside it that lacks
    some records is left as it is and not used; one that has its lines in another order is used.

    Parameters
    ----------
    path : str or path
        A FASTA file that is not compressed, or by bgzip.
    write : bool
        Whether to write a new index beside the file.
    packed : BgzipText, optional
        Its text, if it is compressed by bgzip; the index is that of this text.

    Returns
    -------
    FastaIndex

    Raises
    ------
    InputError
        If there is no such file, it is compressed by gzip, has lines of different lengths in one sequence or a name
        twice, changes while it is read, or the index beside it is that of another file.
    """
    fasta = existing_file(path, "a FASTA file")
    index = Path(f"{fasta}.fai")
    _require_fasta(fasta, packed)
    stamp = FileStamp.from_path(fasta)
    is_recent = index.is_file() and index.stat().st_mtime_ns >= stamp.time
    if is_recent:
        known = _parse(index, fasta, stamp.size if packed is None else len(packed))
        found = _check(known, fasta, index) if packed is None else _check_packed(known, packed, index)
        if found is not None:
            return found
    made = scan_fasta(fasta) if packed is None else scan_text(packed, fasta)
    stamp.require_unchanged()
    if is_recent or not write:
        return made
    with contextlib.suppress(OSError, InputError), atomic_write(index) as partial:
        rows = zip(*made, strict=True)
        partial.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return made


def _require_fasta(fasta: Path, packed: BgzipText | None) -> None:
    if packed is None:
        with fasta.open("rb") as file:
            start = file.read(_START)
    else:
        start = packed[:_START].tobytes()
    if start.startswith(GZIP):
        if packed is not None:
            raise InputError(f"{fasta} is compressed twice: unpack it once.")
        raise InputError(
            f"{fasta} is compressed: windows are read from anywhere in it, which bgzip allows and gzip does not, so "
            f"run {_unpack_command(fasta)} and give the result."
        )
    require_text_bytes(fasta, start, "a FASTA file")
    if not start.removeprefix(BYTE_ORDER_MARK).startswith(b">"):
        raise InputError(f"{fasta} does not begin with '>': expected a FASTA file.")


def _unpack_command(fasta: Path) -> str:
    """Return the command that unpacks a file: gunzip accepts only names in .gz, and adds that ending if missing."""
    name, ending = shlex.quote(fasta.name), fasta.suffix.lower()
    if ending in (".bgz", ".bgzf"):
        return f"`gunzip -c {name} > {shlex.quote(fasta.stem)}`"
    return f"`gunzip -k {name}`" if ending == ".gz" else f"`mv {name} {name}.gz` and then `gunzip -k {name}`"


def _parse(index: Path, fasta: Path, size: int) -> FastaIndex:
    """Return the index as written; InputError if its numbers cannot be those of a FASTA file of `size` bytes."""
    names: list[str] = []
    numbers: list[tuple[int, ...]] = []
    text = read_text(index, "the index of a FASTA file")
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        name, *fields = line.split("\t")
        # The index of a FASTQ file has one more column, which is not needed here.
        if len(fields) < 4 or not all(one.isascii() and one.isdigit() for one in fields[:4]):
            raise InputError(f"{index}, line {number} is {line[:80]!r}: expected a name and four numbers; delete it.")
        letters, offset, bases, width = map(int, fields[:4])
        # Larger numbers may not even fit into 64 bits.
        if max(letters, offset, bases, width - 2) > size or (letters and not 0 < bases <= width <= bases + 2):
            raise InputError(
                f"{index} is not the index of {fasta}, which has {size} bytes: line {number} is {line[:80]!r}; delete "
                "it, and it is made anew."
            )
        numbers.append((letters, offset, bases, width))
        names.append(name)
    if not names:
        raise InputError(f"{index} is empty: expected a line for each sequence; delete it.")
    # Records are returned in the order of the FASTA file, whatever that of the lines.
    order = sorted(range(len(names)), key=lambda i: numbers[i][1])
    return build_index([names[i] for i in order], [numbers[i] for i in order])


def _check(index: FastaIndex, fasta: Path, path: Path) -> FastaIndex | None:
    """Return the index if names and sequences are where it says; None if the file has further records."""
    with fasta.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        fits = _lies_inside(index, len(text)) and _has_ends(index, fasta)
        headers = _headers(index, text) if fits else None
        if headers is None:
            raise _of_another(path, fasta)
        return index if _is_whole(index, text, headers) else None


def _check_packed(index: FastaIndex, text: BgzipText, path: Path) -> FastaIndex | None:
    """Return the index as :func:`_check` does, of a text of which only the ends of its records are unpacked."""
    if not _lies_inside(index, len(text)):
        raise _of_another(path, text.path)
    behind, is_whole = 0, True
    for name, *numbers, end in zip(*index, _ends(index).tolist(), strict=True):
        size, offset, bases, width = map(int, numbers)
        between = text[max(behind, offset - _LINE) : offset].tobytes()
        start = between.rfind(b"\n", 0, len(between) - 1) + 1
        header = between[start:].removeprefix(BYTE_ORDER_MARK)
        named = header.startswith(b">") and header_name(header[1:]) == name
        if not named or (size and not _has_lines(text, offset, end, min(bases, size), width if size > bases else 0)):
            raise _of_another(path, text.path)
        is_whole &= offset - behind <= _LINE and not between[:start].strip(b"\r\n")
        behind = end
    rest = text[behind : behind + _LINE].tobytes()
    return index if is_whole and len(rest) < _LINE and not rest.strip(b"\r\n") else None


def _has_lines(text: BgzipText, offset: int, end: int, bases: int, width: int) -> bool:
    """Return whether the first line of a sequence has so many letters, and it ends with a letter and a line end."""
    first = text[offset : offset + min(bases, _LINE)].tobytes()
    last = text[end - 1 : end + 1].tobytes()
    ends_line = not width or text[offset + width - 1] == NEWLINE
    return b"\n" not in first and ends_line and last[0] > RETURN and last[1:] in (b"", b"\n", b"\r")


def _of_another(path: Path, fasta: Path) -> InputError:
    return InputError(f"{path} is not the index of {fasta}: delete it, and it is made anew.")


def _ends(index: FastaIndex) -> NDArray[np.int64]:
    """Return where in the file each sequence ends."""
    last = np.maximum(index.size - 1, 0)
    return index.offset + last // index.bases * index.width + last % index.bases + (index.size > 0)


def _lies_inside(index: FastaIndex, size: int) -> bool:
    """Return whether all sequences lie inside a file of `size` bytes, and none overlaps another."""
    end, order = _ends(index), np.argsort(index.offset, kind="stable")
    apart = end[order][:-1] <= index.offset[order][1:]
    return bool((index.offset >= 1).all() and (end <= size).all() and apart.all())


def _has_ends(index: FastaIndex, fasta: Path) -> bool:
    """Return whether there is a newline before each sequence, after its first line and before its last one."""
    text, end = np.memmap(fasta, dtype=np.uint8, mode="r"), _ends(index)
    n, several = len(text), index.size > index.bases
    # The file may end with a header that has no sequence, and not even a newline.
    empty = (index.size == 0) & (index.offset == n)
    offset, bases, width = (one[several] for one in (index.offset, index.bases, index.width))
    last = offset + (index.size[several] - 1) // bases * width
    newlines = ((text[index.offset - 1] == NEWLINE) | empty) & ((text[end - 1] > RETURN) | (index.size == 0))
    lines = (text[offset + width - 1] == NEWLINE) & (text[last - 1] == NEWLINE) & (width > bases)
    returned = (width < bases + 2) | (text[offset + bases] == RETURN)
    if not (newlines.all() and lines.all() and returned.all()):
        return False
    # Most sequences are followed by one newline and a header; only the others need a closer look.
    behind = end + np.isin(text[np.minimum(end, n - 1)], (NEWLINE, RETURN)) * (end < n)
    doubtful = (behind < n) & ~((text[np.minimum(behind, n - 1)] == ord(">")) & (behind > end))
    return all(_is_over(text, int(one)) for one in end[doubtful])


def _is_over(text: NDArray[np.uint8], end: int) -> bool:
    """Return whether only line ends lie between the end of a sequence and the next header, or the end of the file."""
    while behind := text[end : end + _LINE].tobytes():
        rest = behind.lstrip(b"\r\n")
        end += len(behind) - len(rest)
        if rest:
            return bool(text[end - 1] == NEWLINE) and rest.removeprefix(BYTE_ORDER_MARK).startswith(b">")
    return True


def _headers(index: FastaIndex, text: mmap.mmap) -> list[int] | None:
    """Return where headers begin; None unless each sequence has its name before it, and its first line is whole."""
    first = np.minimum(np.minimum(index.size, index.bases), _LINE)
    found: list[int] = []
    for name, offset, letters in zip(index.names, index.offset.tolist(), first.tolist(), strict=True):
        end = offset - 1 if text[offset - 1] == NEWLINE else offset
        found.append(text.rfind(b"\n", 0, end) + 1)
        header = text[found[-1] : end].removeprefix(BYTE_ORDER_MARK)
        if (
            not header.startswith(b">")
            or header_name(header[1:]) != name
            or text.find(b"\n", offset, offset + letters) >= 0
        ):
            return None
    return found


def _is_whole(index: FastaIndex, text: mmap.mmap, headers: list[int]) -> bool:
    """Return whether only line ends lie between the records."""
    gaps = zip([0, *_ends(index).tolist()], [*headers, len(text)], strict=True)
    return all(end - start < _LINE and not text[start:end].strip(b"\r\n") for start, end in gaps)
