from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqlight as sl
from compressed_text import PACKERS
from seqlight.cli import sequences
from seqlight.cli.sequences import open_sequences, read_some
from seqlight.errors import SeqlightWarning
from toy_genome import one_hot, window, write_genome

PEAK = "chr1\t{}\t{}\t{}\t0\t{}\t1\t1\t1\t{}\n"


def rows(dataset):
    return dataset.batch(range(len(dataset)))


@pytest.mark.parametrize("pack", PACKERS)
def test_records(tmp_path, pack):
    path = tmp_path / "sites.txt"
    path.write_bytes(PACKERS[pack](b">s1 x\nACGTN\n>s2\nacgtT\n"))
    found = open_sequences(path)
    assert sl.characters(rows(found), allow_N=True) == ["ACGTN", "ACGTT"]
    assert (found.row_names, found.loci) == (("s1", "s2"), None)
    assert sl.characters(rows(open_sequences(path, window=7)), allow_N=True) == ["ACGTNNN", "ACGTTNN"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["sites.txt"]


@pytest.mark.parametrize("pack", PACKERS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 250), st.integers(1, 60), st.sampled_from("+-.")), min_size=1, max_size=8))
def test_regions_are_those_of_the_file(tmp_path, genome, pack, regions):
    """A window around each summit, by slicing strings."""
    fasta = write_genome(tmp_path / "toy.fa", genome)
    lines = [PEAK.format(start, start + n, f"p{i}", strand, n // 2) for i, (start, n, strand) in enumerate(regions)]
    (tmp_path / "peaks").write_bytes(PACKERS[pack](b"track name=x\n# y\n" + "".join(lines).encode()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = open_sequences(tmp_path / "peaks", fasta, 20)
    middles = [start + n // 2 for start, n, _ in regions]
    over = sum(middle < 10 or middle + 10 > len(genome["chr1"]) for middle in middles)
    said = f"{over} of {len(regions)} windows of peaks extend past an end of their chromosome: they are filled with N"
    assert [str(one.message).removesuffix(" there.") for one in caught] == [said] * (over > 0)
    expected = [
        one_hot(window(genome, "chr1", start + n // 2 - 10, start + n // 2 + 10, strand))
        for start, n, strand in regions
    ]
    assert rows(found).tolist() == expected
    assert found.row_names == tuple(f"p{i}" for i in range(len(regions)))
    assert found.loci.strand.tolist() == [one[2] for one in regions]
    assert not (tmp_path / "toy.fa.fai").exists()


def test_arrays(tmp_path):
    X = sl.random_one_hot((5, 4, 12), random_state=0).numpy()
    np.save(tmp_path / "X.npy", X)
    np.savez(tmp_path / "X.npz", bias=X.sum(1), X=X)
    (tmp_path / "odd").write_bytes((tmp_path / "X.npz").read_bytes())
    (tmp_path / "even").write_bytes((tmp_path / "X.npy").read_bytes())
    for name in ("X.npy", "even"):
        found = open_sequences(tmp_path / name)
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, X)
    for name in ("X.npz", "odd"):
        both = open_sequences(tmp_path / name, inputs=2)
        np.testing.assert_array_equal(both[0], X)
        np.testing.assert_array_equal(both[1], X.sum(1))
    some = read_some(tmp_path / "odd", 2, None, None, 2)
    np.testing.assert_array_equal(some[0], X[[0, 4]])


def test_some_rows_of_records(tmp_path):
    (tmp_path / "a.fa").write_text("".join(f">{i}\n{'ACGT'[i % 4]}A\n" for i in range(9)))
    assert sl.characters(read_some(tmp_path / "a.fa", 3, None, None, 1)[0]) == ["AA", "AA", "AA"]
    assert len(read_some(tmp_path / "a.fa", 30, None, None, 1)[0]) == 9


@pytest.mark.parametrize(
    ("alphabet", "text", "meant"),
    [("RNA", "ACGUT", "ACGUU"), ("protein", "MKVXB", "MKVXX"), ("TGCA", "ACGTR", "ACGTN"), ("AB", "abbaN", "ABBAN")],
)
def test_alphabets(tmp_path, alphabet, text, meant):
    (tmp_path / "a.fa").write_text(f">a\n{text}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeqlightWarning)
        found = open_sequences(tmp_path / "a.fa", alphabet=alphabet)
    letters = found.alphabet.letters
    X = rows(found)
    assert X.shape == (1, len(letters), 5)
    where = [letters.find(one) for one in meant]
    assert [X[0, :, i].tolist() for i in range(5)] == [[int(j == at) for j in range(len(letters))] for at in where]


def test_letters_for_one_of_several_are_counted(tmp_path):
    (tmp_path / "RYRY.fa").write_text(">RRRR YYY\nACGTRyNn\n>Y\nRRACGTAA\n")
    with pytest.warns(
        SeqlightWarning, match=r"RYRY\.fa has letters that .* \(R 3, Y 1\): they are read as unknown, like N"
    ):
        open_sequences(tmp_path / "RYRY.fa")


def write(folder):
    (folder / "toy.fa").write_text(">chr1\nACGTACGTAC\n>chr2\nACGTAC\n")
    (folder / "one.bed").write_text("chr1\t1\t5\n")
    (folder / "two.bed").write_text("chr1\t1\t5\nchr1\t1\t7\n")
    (folder / "spelled.bed").write_text("chr1\t1\t5\n\n1\t1\t7\n")
    (folder / "other.bed").write_text("chr9\t1\t5\n")
    (folder / "off.bed").write_text("# x\nchr1\t1\t5\nchr1\t20\t25\n")
    (folder / "none.bed").write_text("# x\ntrack name=x\n")
    (folder / "short.bed").write_text("chr1\t1\t5\nchr1\t1\n")
    (folder / "word.bed").write_text("chr1\t1\tfive\n")
    (folder / "back.bed").write_text("chr1\t5\t1\n")
    (folder / "uneven.bed").write_text("chr1\t1\t5\tx\nchr1\t1\t5\n")
    (folder / "words.bed").write_text("chr1 1 5 name of it\n")
    (folder / "empty.fa").write_text(">a\n>b\n")
    (folder / "several.fa").write_text(">a\nACG\n>b\nACGT\n")
    (folder / "strange.fa").write_text(">a\nACGT\n>b\nACQT\n")
    (folder / "rna.fa").write_text(">a\nACGU\n")
    (folder / "cut.bed.gz").write_bytes(PACKERS["gzip"](b"chr1\t1\t5\n" * 99)[:-9])
    (folder / "lost.bed.gz").write_bytes(PACKERS["bgzip"](b"chr1\t1\t5\n" * 99)[:-28])
    (folder / "cut.fa.gz").write_bytes(PACKERS["gzip"](b">a\nACGT\n" * 99)[:-9])
    np.save(folder / "X.npy", np.zeros((2, 4, 5), np.int8))
    torch.save({"weight": torch.zeros(2)}, folder / "weights.pt")


@pytest.mark.reliability(
    "sequences from files",
    "regions off their chromosome, on one that the genome lacks or spells another way, malformed, of several lengths; "
    "no genome; files cut short; letters that are no nucleotides",
    "a sentence that names the file, and the line or the record",
)
@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("one.bed", {}, r"data is one\.bed, which holds regions: expected the genome's FASTA file as --genome"),
        ("two.bed", {"genome": 1}, "the regions have 4 to 6 positions: expected one length; give `window`"),
        ("spelled.bed", {"genome": 1}, r"spelled\.bed, line 3: 1:1-7 is on '1', which toy\.fa does not have .*'chr1'"),
        ("other.bed", {"genome": 1}, r"other\.bed, line 1: chr9:1-5 is on 'chr9', which toy\.fa .* same assembly"),
        ("off.bed", {"genome": 1}, r"off\.bed, line 3: chr1:20-25 is off its chromosome of 10 positions: expected"),
        ("none.bed", {"genome": 1}, r"none\.bed has no regions: expected at least one"),
        ("short.bed", {"genome": 1}, r"short\.bed, line 2 has 2 fields"),
        ("word.bed", {"genome": 1}, r"word\.bed, line 1: end is 'five': expected a whole number"),
        ("back.bed", {"genome": 1}, r"back\.bed, line 1: chr1:5-1 is empty: expected start < end"),
        ("cut.bed.gz", {"genome": 1}, r"cut\.bed\.gz is a gzip file without its end"),
        ("lost.bed.gz", {"genome": 1}, r"lost\.bed\.gz lacks the last block that bgzip writes"),
        ("cut.fa.gz", {}, r"cut\.fa\.gz is a gzip file without its end"),
        ("one.bed", {"genome": 1, "alphabet": "protein"}, "alphabet is 'protein', and regions are cut from a genome"),
        ("one.bed", {"genome": 1, "inputs": 2}, r"one\.bed holds sequences alone, and inputs is 2: expected an npz"),
        ("one.bed", {"genome": 1, "window": 0}, "window is 0: expected 1 or more"),
        (
            "several.fa",
            {},
            r"several\.fa have 3 to 4 positions: expected one length; give .*--window",
        ),
        ("several.fa", {"window": 3}, "the record 'b' has 4 positions: expected at most 3"),
        ("strange.fa", {}, r"strange\.fa, b:2 is 'Q': expected a nucleotide"),
        ("rna.fa", {}, r"rna\.fa, a:3 is 'U': expected a nucleotide, .*; for RNA give alphabet='RNA'"),
        ("several.fa", {"genome": 1}, r"there is --genome, which is for regions, and several\.fa holds sequences"),
        ("several.fa", {"alphabet": "AA"}, "occurs twice"),
        ("X.npy", {"window": 3}, r"there is --window, which is for regions, and X\.npy holds arrays: leave it out"),
        ("X.npy", {"inputs": 2}, r"X\.npy holds one array, and inputs is 2: expected an npz with X and more"),
        (
            "X.npy",
            {"alphabet": "protein"},
            r"X\.npy has sequences of 4 letters, and alphabet protein 20: expected",
        ),
        ("empty.fa", {}, r"the records of empty\.fa are empty: expected letters below their names"),
        (
            "uneven.bed",
            {"genome": 1},
            r"uneven\.bed, line 2 has 3 columns, .* keep them with `cut -f1-3`",
        ),
        ("words.bed", {"genome": 1}, r"words\.bed, line 1: score is 'of': .*with `cut -f1-4`"),
        ("weights.pt", {}, r"weights\.pt is a file of torch\.save"),
        ("missing.bed", {}, "there is no file"),
        ("-", {}, "data is standard input, and a run reads its data several times"),
    ],
)
def test_data_that_cannot_be_used(tmp_path, name, options, says):
    write(tmp_path)
    if "genome" in options:
        options = options | {"genome": tmp_path / "toy.fa"}
    with pytest.raises(sl.InputError, match=says) as caught:
        open_sequences(name if name == "-" else tmp_path / name, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", ["gzip", "bgzip"])
def test_a_compressed_genome(tmp_path, pack, monkeypatch):
    write(tmp_path)
    path = tmp_path / "toy.fa.gz"
    path.write_bytes(PACKERS[pack]((tmp_path / "toy.fa").read_bytes()))
    found = open_sequences(tmp_path / "one.bed", path)
    assert torch.equal(rows(found), rows(open_sequences(tmp_path / "one.bed", tmp_path / "toy.fa")))
    monkeypatch.setattr(sequences, "MOST_UNPACKED", path.stat().st_size - 1)
    if pack == "bgzip":
        found = open_sequences(tmp_path / "one.bed", path)
        assert torch.equal(rows(found), rows(open_sequences(tmp_path / "one.bed", tmp_path / "toy.fa")))
        return
    with pytest.raises(sl.InputError, match=r"toy\.fa\.gz is compressed: windows are read from anywhere in it"):
        open_sequences(tmp_path / "one.bed", path)


@pytest.mark.reliability(
    "command line",
    "regions whose windows reach past an end of their chromosome",
    "one warning, which counts them; they are filled with N there",
)
def test_windows_over_the_end_of_their_chromosome_are_filled_up(tmp_path):
    write(tmp_path)
    (tmp_path / "end.bed").write_text("chr2\t4\t6\nchr2\t0\t1\nchr2\t0\t6\n")
    with pytest.warns(SeqlightWarning, match=r"2 of 3 windows of end\.bed extend past an end of their chromosome"):
        found = open_sequences(tmp_path / "end.bed", tmp_path / "toy.fa", 6)
    assert sl.characters(rows(found), allow_N=True) == ["GTACNN", "NNNACG", "ACGTAC"]
