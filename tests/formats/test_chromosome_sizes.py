import gzip

import pytest

from compressed_text import blocks
from seqlight.errors import InputError
from seqlight.formats.chromosome_sizes import as_chromosome_sizes


def test_tables_and_genomes(tmp_path):
    for name, text in (
        ("toy.fa", ">chr1\nACGT\n>chr2\nAC\n"),
        ("toy.sizes", "# of a toy\nchr1\t4\r\nchr2\t2\n\n"),
        ("toy.fa.fai", "chr1\t4\t6\t4\t5\nchr2\t2\t17\t2\t3\n"),
        ("spaces.sizes", "chr1 4\nchr2 2\n"),
    ):
        (tmp_path / name).write_text(text)
        assert as_chromosome_sizes(tmp_path / name) == {"chr1": 4, "chr2": 2}
    assert as_chromosome_sizes({"chr1": 4}) == {"chr1": 4}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("chr1\tlong\n", "line 1 is 'chr1.tlong': expected a chromosome and its length"),
        ("chr1\t4\nchr2\n", "line 2 is 'chr2'"),
        ("chr1\t0\n", "line 1"),
        ("chr1\t4\nchr1\t5\n", "line 2: a second chromosome is named 'chr1'"),
        ("\n", "is empty"),
    ],
)
def test_other_files(text, says, tmp_path):
    (tmp_path / "a").write_text(text)
    with pytest.raises(InputError, match=says):
        as_chromosome_sizes(tmp_path / "a")


def test_a_compressed_genome(tmp_path):
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(b">chr1\nACGT\n"))
    with pytest.raises(InputError, match=r"is a compressed FASTA file: give its \.fai"):
        as_chromosome_sizes(tmp_path / "a.fa.gz")
    (tmp_path / "a.fa.gz").write_bytes(blocks(b">chr1\nACGT\n>chr2\nAC\n"))
    assert as_chromosome_sizes(tmp_path / "a.fa.gz") == {"chr1": 4, "chr2": 2}


def test_a_compressed_table(tmp_path):
    for pack in (gzip.compress, blocks):
        (tmp_path / "a.gz").write_bytes(pack(b"chr1\t4\n"))
        assert as_chromosome_sizes(tmp_path / "a.gz") == {"chr1": 4}
        (tmp_path / "a.gz").write_bytes(pack(b"chr1\t4\n" * 9)[:-9])
        with pytest.raises(InputError, match=r"end|damaged|last block"):
            as_chromosome_sizes(tmp_path / "a.gz")
