from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight_callbacks.probes import read_array, read_intervals, read_probes

X = sl.random_one_hot((3, 4, 12), random_state=0)


def test_every_kind_of_file_holds_the_same_sequences(tmp_path):
    np.save(tmp_path / "X.npy", X.numpy())
    np.savez(tmp_path / "one.npz", whatever=X.numpy())
    np.savez_compressed(tmp_path / "two.npz", X=X.numpy(), y=np.zeros(3))
    torch.save(X, tmp_path / "X.pt")
    sl.write_fasta(tmp_path / "X.fa", X, names=["a", "b", "c"], line=5)
    text = (tmp_path / "X.fa").read_text().lower().replace("\n", "\r\n")
    with gzip.open(tmp_path / "X.fasta.gz", "wt", newline="") as file:
        file.write(text)
    for name in ("X.npy", "one.npz", "two.npz", "X.pt", "X.fa", "X.fasta.gz"):
        found = read_probes(tmp_path / name)
        assert torch.equal(found.sequences, X), name
        assert found.names == (["a", "b", "c"] if ".fa" in name else ["0", "1", "2"])
    assert torch.equal(read_probes(str(tmp_path / "X.npy")).sequences, X)


def test_a_tensor_is_copied():
    mine = X.clone()
    found = read_probes(mine)
    mine.zero_()
    assert torch.equal(found.sequences, X)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.fa", ">a\nACGT\n>b\nACG\n", "sequences of 3 to 4 characters: cut them alike"),
        ("a.fa", "ACGT\n", "does not begin with '>'"),
        ("a.fa", "", "holds no sequence"),
        ("a.fa", ">a\nACXT\n", "X"),
        ("a.txt", "ACGT", "expected its name to end in .fa, .fasta, .fna, .npy, .npz, .pt"),
        ("a.narrowPeak", "", r"; of regions give rows of a GenomeDataset, such as its \[:24\]\."),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(sl.InputError, match=message):
        read_probes(tmp_path / name)


def test_bad_arrays(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(sl.InputError, match=r"two.npz has the arrays a, b: expected 'X' among them"):
        read_probes(tmp_path / "two.npz")
    torch.save({"X": X}, tmp_path / "dict.pt")
    with pytest.raises(sl.InputError, match="holds a dict: expected a single tensor"):
        read_probes(tmp_path / "dict.pt")
    np.save(tmp_path / "turned.npy", X.transpose(1, 2).numpy())
    with pytest.raises(sl.InputError, match="sequences"):
        read_probes(tmp_path / "turned.npy")
    with pytest.raises(sl.InputError, match=r"sequences is 'no.npy': there is no such file"):
        read_probes("no.npy")
    with pytest.raises(sl.InputError, match=r"is a numpy.ndarray: .* the path of a file; use torch.from_numpy"):
        read_probes(X.numpy())
    with pytest.raises(sl.InputError, match=r"is a list of strings: .*; use one_hot_encode\(sequences\)"):
        read_probes(sl.characters(X))
    with pytest.raises(sl.InputError, match=r"is an ArrayDataset: .*; take some of its rows, such as its \[:24\]"):
        read_probes(sl.ArrayDataset(X))
    with pytest.raises(sl.InputError, match=r"expected its name to end in .npy, .npz, .pt"):
        read_array(__file__, "compare_with", "attributions")


def test_intervals_of_every_kind_of_file(tmp_path):
    table = pd.DataFrame({"example_idx": [2, 0], "start": [1, 4], "end": [5, 9]})
    table.to_csv(tmp_path / "known.csv", index=False)
    table.to_csv(tmp_path / "known.tsv", index=False, sep="\t")
    (tmp_path / "named.bed").write_text("track x\n# y\nc\t1\t5\tAP-1\n\na\t4\t9\n")
    for source in (table, tmp_path / "known.csv", str(tmp_path / "known.tsv"), tmp_path / "named.bed"):
        found = read_intervals(source, ["a", "b", "c"])
        assert found[["example_idx", "start", "end"]].to_numpy().tolist() == [[2, 1, 5], [0, 4, 9]]
    assert found["motif"].tolist() == ["AP-1", ""]
    (tmp_path / "numbered.bed").write_text("2 1 5\n0 4 9\n")
    assert read_intervals(tmp_path / "numbered.bed", ["0", "1", "2"])["example_idx"].tolist() == [2, 0]
    (tmp_path / "empty.bed").write_text("")
    assert len(read_intervals(tmp_path / "empty.bed", ["0"])) == 0


def test_bad_intervals(tmp_path):
    bed = tmp_path / "a.bed"
    for text, message in (
        ("a 1\n", r"a.bed, line 1 has 2 fields, 'a 1': expected at least chrom, start and end"),
        ("\nb 1 5\n", r"a.bed, line 2: b:1-5 is on none of the sequences: expected one of 'a'"),
        ("a 1 x\n", r"a.bed, line 1: end is 'x': expected a whole number"),
        ("a -1 5\n", r"a.bed, line 1: a:-1-5 begins below 0"),
        ("a 7 5\n", "ends before it starts"),
    ):
        bed.write_text(text)
        with pytest.raises(sl.InputError, match=message):
            read_intervals(bed, ["a"])
    with pytest.raises(sl.InputError, match="known is an int: expected a table, or the path"):
        read_intervals(3, ["a"])


@pytest.mark.reliability(
    "files for callbacks",
    "a FASTA, BED or CSV file with a byte-order mark or a carriage return alone; UTF-16, damaged gzip, arrays, tables",
    "read, or an error that says what is wrong with the file",
)
def test_files_as_people_have_them(tmp_path):
    (tmp_path / "a.fa").write_text("\ufeff>a\rACGT\r\ufeff>b\rACGA\r", newline="")
    found = read_probes(tmp_path / "a.fa")
    assert found.names == ["a", "b"]
    assert sl.characters(found.sequences) == ["ACGT", "ACGA"]
    (tmp_path / "a.bed").write_bytes(b"\xef\xbb\xbfb\t1\t3\tX\r\n # more\r\na\t0\t2\r\n")
    assert read_intervals(tmp_path / "a.bed", found.names)["example_idx"].tolist() == [1, 0]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfexample_idx,start,end\r\n1,0,2\r\n")
    assert read_intervals(tmp_path / "a.csv", found.names)["example_idx"].tolist() == [1]
    for name, content, said in (
        ("u.fa", ">a\nACGT\n".encode("utf-16"), "is no text in UTF-8 but in UTF-16: expected a FASTA file"),
        ("g.fa.gz", gzip.compress(b">a\nACGT\n")[:-5], "is a gzip file without its end"),
        ("e.npy", b"", "holds no array"),
        ("n.npz", b"PK\x05\x06", "holds no array"),
        ("o.npy", b"\x80\x04N.", "holds no array"),
        ("t.pt", b"", "holds no tensor"),
        ("r.pt", b"rubbish", "holds no tensor"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(sl.InputError, match=f"{name} {said}|{name} is no text but {said}"):
            read_probes(tmp_path / name)
    for name, content, said in (("e.csv", b"", "holds no table"), ("u.csv", "a,b".encode("utf-16"), "is no text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(sl.InputError, match=f"{name} {said}"):
            read_intervals(tmp_path / name, ["a"])
    (tmp_path / "folder.fa").mkdir()
    with pytest.raises(sl.InputError, match=r"folder.fa' is a folder"):
        read_probes(tmp_path / "folder.fa")
    with pytest.raises(sl.InputError, match="sequences is ''"):
        read_probes("")


@pytest.mark.reliability(
    "probes", "intervals as BED of a name that two probes have; names with spaces", "an error; kept"
)
def test_intervals_are_of_one_probe(tmp_path):
    (tmp_path / "a.bed").write_text("a\t1\t3\tGATA box\n")
    assert read_intervals(tmp_path / "a.bed", ["a", "b"])["motif"].tolist() == ["GATA box"]
    with pytest.raises(sl.InputError, match=r"line 1: a:1-3 has the name of several sequences"):
        read_intervals(tmp_path / "a.bed", ["a", "b", "a"])
    (tmp_path / "a.bed").write_text("b\t1\t999999999999999999\n")
    with pytest.raises(sl.InputError, match="no sequence has as many positions"):
        read_intervals(tmp_path / "a.bed", ["a", "b", "a"])
    (tmp_path / "a.bed").write_text("b\t1\t99999999999999999999\n")
    with pytest.raises(sl.InputError, match=r"line 1: end is '9+': expected a whole number below 2\*\*63"):
        read_intervals(tmp_path / "a.bed", ["a", "b", "a"])


@pytest.mark.reliability(
    "probes", "a csv whose rows have more fields than its first line", "an error, not other columns"
)
def test_tables_whose_rows_are_longer(tmp_path):
    (tmp_path / "a.csv").write_text("example_idx,start,end\n0,1,3,4\n0,2,4,6\n")
    with pytest.raises(sl.InputError, match="more fields in its rows than names"):
        read_intervals(tmp_path / "a.csv", ["a", "b", "c", "d"])


def test_a_letter_that_is_none_is_found_in_its_file(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGU\n")
    with pytest.raises(sl.InputError, match=r"a\.fa: position 3 of .* is 'U'"):
        read_probes(tmp_path / "a.fa")


@pytest.mark.reliability(
    "probes", "intervals behind the end of the sequences, as in coordinates of a genome", "an error"
)
def test_intervals_lie_on_the_probes(tmp_path):
    (tmp_path / "a.bed").write_text("a\t1\t12\na\t100000\t100012\n")
    with pytest.raises(sl.InputError, match="known has an interval to 100012 on sequences of 12 positions"):
        read_intervals(tmp_path / "a.bed", ["a"], length=12)
    (tmp_path / "b.bed").write_text("a\t1\t12\n")
    assert len(read_intervals(tmp_path / "b.bed", ["a"], length=12)) == 1
