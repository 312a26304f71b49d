import os
import pickle

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.formats.genome import Genome, as_genome
from seqlight.native.library import library
from seqlight.sequence.chromosomes import other_spelling
from seqlight.sequence.loci import Loci
from toy_genome import draw, one_hot, window, write_genome

pyfaidx = pytest.importorskip("pyfaidx")


@pytest.fixture(params=["compiled", "numpy"])
def loops(request, monkeypatch):
    """Run a test on both twins."""
    if request.param == "numpy":
        monkeypatch.setattr("seqlight.formats.fasta_windows.library", lambda: None)
    elif library() is None:
        pytest.skip("no compiled loops")


def table(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"])


def everywhere(genome, length):
    """Return windows at every place, from off one end to off the other, on both strands."""
    return [
        (chrom, start, start + length, strand)
        for chrom, text in genome.items()
        for start in range(-length - 2, len(text) + 3)
        for strand in "+-"
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(("line", "length"), [(13, 1), (13, 13), (13, 40), (60, 29), (1, 7)])
def test_every_window(loops, genome, tmp_path, newline, line, length):
    path = write_genome(tmp_path / "a.fa", genome, line, newline, last=False)
    rows = everywhere(genome, length)
    found = Genome(path).cut(table(rows))
    assert found.shape == (len(rows), 4, length)
    assert found.dtype == torch.int8
    assert found.tolist() == [one_hot(window(genome, *row)) for row in rows]


def test_windows_are_as_pyfaidx_reads_them(fasta, genome):
    theirs = pyfaidx.Fasta(str(fasta), sequence_always_upper=True)
    rows = [("chr1", 100, 160, "+"), ("chr1", 257, 317, "-"), ("chr2", 0, 60, "-")]
    for one, (chrom, start, end, strand) in zip(Genome(fasta).cut(table(rows)), rows, strict=True):
        text = theirs[chrom][start:end]
        text = (text.reverse.complement if strand == "-" else text).seq
        assert sl.characters(one, allow_N=True) == "".join(x if x in "ACGT" else "N" for x in text)


@given(data=st.data())
def test_any_genome(tmp_path_factory, data):
    names = data.draw(st.lists(st.sampled_from(["1", "chr2", "chrUn_KI270752v1", "MT"]), min_size=1, unique=True))
    genome = {name: data.draw(st.text("ACGTacgtNnKm", min_size=1, max_size=60)) for name in names}
    line = data.draw(st.integers(1, 70))
    path = write_genome(
        tmp_path_factory.mktemp("any") / "a.fa",
        genome,
        line,
        data.draw(st.sampled_from(["\n", "\r\n"])),
        data.draw(st.booleans()),
    )
    length = data.draw(st.integers(1, 80))
    row = st.tuples(st.sampled_from(names), st.integers(-90, 90), st.sampled_from("+-."))
    rows = [(name, start, start + length, strand) for name, start, strand in data.draw(st.lists(row, min_size=1))]
    dtype = data.draw(st.sampled_from([torch.int8, torch.bfloat16, torch.float32, torch.float64, torch.complex128]))
    found = Genome(path).cut(table(rows), dtype)
    assert found.dtype == dtype
    assert found.tolist() == [one_hot(window(genome, *row)) for row in rows]


def test_writing_and_reading_gives_the_same(tmp_path):
    X = sl.random_one_hot((3, 4, 100), random_state=0)
    X[1, :, 10:20] = 0
    sl.write_fasta(tmp_path / "a.fa", X, names=["a", "b", "c"], line=17)
    whole = table([(name, 0, 100, "+") for name in "abc"])
    assert torch.equal(Genome(tmp_path / "a.fa").cut(whole), X)


def test_many_windows_on_several_threads(tmp_path):
    genome = {"chr1": draw(5000, 7)}
    path = write_genome(tmp_path / "a.fa", genome, 60)
    rows = [("chr1", start, start + 700, "+-"[start % 2]) for start in range(0, 4000, 7)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = Genome(path).cut(table(rows))
        torch.set_num_threads(4)
        several = Genome(path).cut(table(rows))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one, several)
    assert sl.characters(one, allow_N=True) == [window(genome, *row) for row in rows]


def test_sizes_in_the_order_of_the_file(fasta, genome):
    assert list(Genome(fasta).sizes.items()) == [(name, len(text)) for name, text in genome.items()]
    assert repr(Genome(fasta)).endswith("toy.fa': 4 sequences, 562 positions)")


def test_it_can_be_pickled(fasta):
    rows = table([("chr2", 3, 60, "-")])
    genome = Genome(fasta)
    X = genome.cut(rows)
    again = pickle.loads(pickle.dumps(genome))
    assert torch.equal(again.cut(rows), X)
    assert len(pickle.dumps(genome)) < 5000
    assert again.fingerprint() == genome.fingerprint()


@pytest.mark.parametrize("strand", ["+", "-"])
def test_invalid_letters_are_named(loops, tmp_path, strand):
    genome = write_genome(tmp_path / "protein.fa", {"p": "ACGTACGTACGTACGTELVACGT"}, 5)
    Genome(genome).cut(table([("p", 0, 16, strand)]))
    first = {"+": "p:16 is 'E'", "-": "p:1[68] is '[EV]'"}
    with pytest.raises(sl.InputError, match=f"protein.fa, ({first[strand]}|p:17 is 'L').*: expected a nucleotide"):
        Genome(genome).cut(table([("p", 0, 16, "+"), ("p", 7, 23, strand)]))


def test_bad_calls(fasta):
    genome = Genome(fasta)
    with pytest.raises(
        sl.InputError,
        match=r"'1' is not in the genome toy.fa \(which has .* 'chrX' ...\): it has 'chr1', so spell both alike",
    ):
        genome.cut(table([("1", 0, 5, "+")]))
    with pytest.raises(sl.InputError, match=r"'chr7' is not in .* give the files of one assembly"):
        genome.cut(table([("chr7", 0, 5, "+")]))
    with pytest.raises(sl.InputError, match=r"locus 1, chr1:3-9.*does not have 5 positions"):
        genome.cut(table([("chr1", 0, 5, "+"), ("chr1", 3, 9, "+")]))
    with pytest.raises(sl.InputError, match="there are no loci"):
        genome.cut(table([]).astype({"start": int, "end": int}))
    with pytest.raises(sl.InputError, match="genome is an int"):
        as_genome(3)


def test_loci_are_taken_as_they_are(fasta, genome):
    loci = Loci(*(table([("chrM", -2, 4, ".")])[name].to_numpy() for name in ("chrom", "start", "end", "strand")))
    assert sl.characters(Genome(fasta).cut(loci), allow_N=True) == [window(genome, "chrM", -2, 4)]


@pytest.mark.parametrize(("name", "other"), [("chr1", "1"), ("1", "chr1"), ("chrM", "MT"), ("MT", "chrM")])
def test_spellings(name, other):
    assert other_spelling(name) == other


def test_digests_depend_on_content_and_not_on_paths(genome, tmp_path):
    first = Genome(write_genome(tmp_path / "a.fa", genome)).fingerprint()
    assert Genome(write_genome(tmp_path / "b.fa", genome)).fingerprint() == first
    changed = genome | {"chr2": "A" + genome["chr2"][1:]} if genome["chr2"][0] != "A" else genome | {"chr2": "C"}
    assert Genome(write_genome(tmp_path / "c.fa", changed)).fingerprint() != first


def test_a_file_that_changes_is_not_read_on(loops, fasta, genome, tmp_path, monkeypatch):
    first, again = Genome(fasta), pickle.loads(pickle.dumps(Genome(fasta)))
    rows = table([("chr2", 3, 60, "-")])
    monkeypatch.chdir(fasta.parent)
    inside = Genome(fasta.name)
    monkeypatch.chdir("/")
    assert torch.equal(inside.cut(rows), first.cut(rows))
    write_genome(fasta, {name: text.lower()[::-1] for name, text in genome.items()})
    os.utime(fasta, (5, 5))
    for one in (first, again, inside):
        with pytest.raises(sl.InputError, match=r"toy\.fa has changed since it was opened"):
            one.cut(rows)
        with pytest.raises(sl.InputError, match=r"toy\.fa has changed since it was opened"):
            one.fingerprint()


def test_chromosomes_that_are_numbers(tmp_path):
    path = write_genome(tmp_path / "a.fa", {"1": "ACGTACGT", "chr2": "ACGT"})
    loci = pd.DataFrame({"chrom": [1, 1], "start": [0, 3], "end": [4, 7]})
    assert sl.characters(Genome(path).cut(loci)) == ["ACGT", "TACG"]
    with pytest.raises(sl.InputError, match=r"'2' is not in the genome a.fa .* it has 'chr2', so spell both alike"):
        Genome(path).cut(loci.assign(chrom=2))
