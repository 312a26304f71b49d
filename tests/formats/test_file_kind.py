from __future__ import annotations

import io

import numpy as np
import pytest

import seqlight as sl
from compressed_text import PACKERS
from seqlight.formats.file_kind import file_kind

REGION = b"chr1\t10\t30\tpeak\t5\t+\n"
GTF = b'#!genome-build\nchr1\tHAVANA\tgene\t11869\t14409\t.\t+\t.\tgene_id "a";\n'


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("name", ["a", "a.txt", "a.gz", "a.bed", "a.fa"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b">a\nACGT\n", "fasta"),
        (b"\n\n>a\r\nACGT\r\n", "fasta"),
        (b"\xef\xbb\xbf>a\nACGT\n", "fasta"),
        (REGION, "regions"),
        (b"chr1 10 30\r\n", "regions"),
        (b"# made today\nbrowser position chr1\ntrack name=a\n" + REGION, "regions"),
        (b"chrom\tstart\tend\n" + REGION, "regions"),
        (b"track name=a\n", "regions"),
        (b"HLA:A*01\t10\t30", "regions"),
    ],
)
def test_text_is_what_it_says(tmp_path, content, kind, name, pack):
    (tmp_path / name).write_bytes(PACKERS[pack](content))
    assert file_kind(tmp_path / name) == kind


def test_arrays(tmp_path):
    for save, kind in ((np.save, "npy"), (np.savez, "npz")):
        stream = io.BytesIO()
        save(stream, np.zeros(3))
        (tmp_path / "data").write_bytes(stream.getvalue())
        assert file_kind(tmp_path / "data") == kind


@pytest.mark.reliability(
    "sequences from files",
    "BAM, CRAM, 2bit, bigWig, bigBed, VCF, GTF, FASTQ, HDF5, Parquet, a pickle, an HTML page, an empty file as --data",
    "an error that names the format, and mostly says what makes of it what is wanted",
)
@pytest.mark.parametrize("pack", ["plain", "bgzip"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"BAM\1\0\0", "is a BAM file of aligned reads: expected regions"),
        (b"CRAM\3", "is a CRAM file"),
        (b"\x43\x27\x41\x1a\0", "is a 2bit file: make FASTA of it with `twoBitToFa`"),
        (b"\x26\xfc\x8f\x88\4", "is a bigWig file, a signal: expected sequences, or regions and a genome"),
        (b"\xeb\xf2\x89\x87\4", "is a bigBed file: make BED of it"),
        (b"\x89HDF\r\n", "is an HDF5 file: save the one-hot array"),
        (b"PAR1\x15", "is a Parquet file"),
        (b"\x80\x04\x95", "is a pickle"),
        (b"##fileformat=VCFv4.2\n", "is a VCF file of variants"),
        (b"\xef\xbb\xbf##fileformat=VCFv4.2\n", "is a VCF file of variants"),
        (b"##gff-version 3\n", "is a GFF file"),
        (
            b"@HD\tVN:1.0\n@SQ\tSN:chr1\tLN:9\nchr1\t2\t5\t+\tx\n",
            "is a SAM file of aligned reads, or an interval list of Picard, which",
        ),
        (b"read\t0\tchr1\t100\t60\t40M\t*\t0\t0\tACGT\tIIII\n", "begins with 'read"),  # SAM, and no GTF
        (GTF, "is a GFF or GTF file: make BED of it, which counts from 0"),
        (b"@read1\nACGT\n+\nFFFF\n", "is a FASTQ file: make FASTA of it"),
        (b"@HD\tVN:1.6\n", "is a SAM file"),
        (b"<!DOCTYPE html>", "is a page of HTML"),
        (b"MEME version 4\n", "is a MEME file of motifs"),
        (b"ACGTACGT\n", "begins with 'ACGTACGT': expected FASTA, BED, npy or npz"),
        (b"\0\0\0\0\0\0", "is no text"),
        (b"", "is empty: expected FASTA, BED, npy or npz"),
        (b" \n\n", "is empty"),
    ],
)
def test_what_is_no_data(tmp_path, content, says, pack):
    (tmp_path / "a").write_bytes(PACKERS[pack](content))
    with pytest.raises(sl.InputError, match=f"a {says}"):
        file_kind(tmp_path / "a")


def test_files_that_are_not_there_or_damaged(tmp_path):
    with pytest.raises(sl.InputError, match=r"there is no file .*: expected FASTA, BED, npy or npz"):
        file_kind(tmp_path / "a")
    with pytest.raises(sl.InputError, match="is a folder: expected FASTA"):
        file_kind(tmp_path)
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\x08\x00\x00")
    with pytest.raises(sl.InputError, match="is empty"):
        file_kind(tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\xff\xff" + bytes(range(99)))
    with pytest.raises(sl.InputError, match="is a damaged gzip file"):
        file_kind(tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(PACKERS["gzip"](PACKERS["gzip"](b">a\nA\n")))
    with pytest.raises(sl.InputError, match="compressed twice"):
        file_kind(tmp_path / "a.gz")
