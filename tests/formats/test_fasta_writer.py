import pandas as pd
import pytest

import seqlight as sl
from seqlight.formats.fasta_writer import write_fasta

pyfaidx = pytest.importorskip("pyfaidx")


def read(path):
    with pyfaidx.Fasta(str(path), as_raw=True) as fasta:
        return {name: fasta[name][:] for name in fasta.keys()}  # noqa: SIM118 - iterating gives records


@pytest.mark.parametrize("line", [7, 40, 80])
def test_pyfaidx_reads_them_back(cut, tmp_path, line):
    write_fasta(tmp_path / "a.fa", cut.X, line=line)
    found = read(tmp_path / "a.fa")
    assert list(found) == [str(i) for i in range(len(cut.X))]
    assert list(found.values()) == sl.characters(cut.X, allow_N=True)
    assert max(map(len, (tmp_path / "a.fa").read_text().splitlines())) == min(line, 40)


def test_records_are_named_by_loci(cut, tmp_path):
    write_fasta(tmp_path / "a.fa", cut.X, loci=cut.loci)
    assert list(read(tmp_path / "a.fa"))[:2] == ["chr2:30-70(+)", "chr2:50-90(-)"]


def test_sequences_of_different_lengths(tmp_path):
    write_fasta(tmp_path / "a.fa", [sl.one_hot_encode("TGA"), sl.one_hot_encode("CCNGT")], names=["a", "b"])
    assert read(tmp_path / "a.fa") == {"a": "TGA", "b": "CCNGT"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "names has 1 entries for 6"),
        ({"names": ["a", "b", "c", "d", "e", "e"]}, "two sequences have the same name"),
        ({"names": ["a b", "b", "c", "d", "e", "f"]}, "'a b' is empty, has white space"),
        ({"names": [*"abcde", ""]}, "'' is empty"),
        ({"line": 0}, "line is 0"),
    ],
)
def test_bad_calls(cut, tmp_path, options, message):
    with pytest.raises(sl.InputError, match=message):
        write_fasta(tmp_path / "a.fa", cut.X, **options)
    with pytest.raises(sl.InputError, match="give one"):
        write_fasta(tmp_path / "a.fa", cut.X, names=list("abcdef"), loci=cut.loci)
    with pytest.raises(sl.InputError, match="expected a single 1"):
        write_fasta(tmp_path / "a.fa", cut.X * 0.5)
    for wrong, said in ((cut.X[0], r"use X\.unsqueeze\(0\)"), ("ACGT", "X is a str"), (["ACGT"], r"X\[0\] is a str")):
        with pytest.raises(sl.InputError, match=said):
            write_fasta(tmp_path / "a.fa", wrong)
    assert not list(tmp_path.iterdir())


def test_a_chromosome_that_would_be_read_as_another(tmp_path):
    with pytest.raises(sl.InputError, match="the chromosome 'a::b' has '::' in its name"):
        sl.write_fasta(
            tmp_path / "a.fa",
            sl.one_hot_encode(["ACGT"]),
            loci=pd.DataFrame({"chrom": ["a::b"], "start": [0], "end": [4]}),
        )
