"""Windows of a genome that bgzip compressed are those of the genome."""

import os
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from compressed_text import blocks
from seqlight.datasets.unknown_stretches import unknown_stretches
from seqlight.formats import packed_windows
from toy_genome import draw, one_hot, window, write_genome


def pack(path, size=50):
    """Compress a file, and return the new one."""
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(blocks(path.read_bytes(), size))
    return packed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("packed")


@settings(max_examples=40)
@given(
    line=st.integers(1, 40), size=st.integers(5, 80), most=st.integers(1, 6), length=st.integers(1, 70),
    newline=st.sampled_from(["\n", "\r\n"]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_windows_are_those_of_the_text(folder, genome, line, size, most, length, newline, seed):
    rng = np.random.RandomState(seed)
    path = pack(write_genome(folder / "a.fa", genome, line, newline, last=bool(seed % 2)), size)
    names = rng.choice(list(genome), 9)
    start = rng.randint(-80, 330, 9)
    loci = pd.DataFrame({"chrom": names, "start": start, "end": start + length, "strand": rng.choice(["+", "-"], 9)})
    before, packed_windows.MOST_BLOCKS = packed_windows.MOST_BLOCKS, most
    try:
        found = sl.Genome(path, write_index=False)
        assert found.sizes == {name: len(text) for name, text in genome.items()}
        expected = [one_hot(window(genome, *one)) for one in loci.itertuples(index=False)]
        assert found.cut(loci).tolist() == expected
    finally:
        packed_windows.MOST_BLOCKS = before


def test_the_index_beside_it_is_used_and_checked(tmp_path, genome):
    path = pack(write_genome(tmp_path / "toy.fa", genome))
    index = tmp_path / "toy.fa.gz.fai"
    sl.Genome(path, write_index=False)
    assert not index.exists()
    sl.Genome(path)
    text = index.read_text()
    sl.Genome(tmp_path / "toy.fa")
    assert text == (tmp_path / "toy.fa.fai").read_text()
    loci = pd.DataFrame({"chrom": ["chrX"], "start": [0], "end": [90]})
    expected = sl.Genome(tmp_path / "toy.fa").cut(loci)
    # In another order, or without some records.
    lines = text.splitlines(keepends=True)
    for kept in (lines[::-1], lines[2:], lines[:-1]):
        index.write_text("".join(kept))
        found = sl.Genome(path)
        assert list(found.sizes) == list(genome)
        assert torch.equal(found.cut(loci), expected)
    for wrong in (text.replace("chrX", "chrY"), text.replace("\t13\t14", "\t12\t13"), text.replace("317", "316")):
        index.write_text(wrong)
        with pytest.raises(sl.InputError, match=r"toy\.fa\.gz\.fai is not the index of .*toy\.fa\.gz"):
            sl.Genome(path)


def test_it_is_pickled_and_its_changes_are_noticed(tmp_path, genome):
    path = pack(write_genome(tmp_path / "toy.fa", genome))
    found, loci = sl.Genome(path), pd.DataFrame({"chrom": ["chr2"], "start": [9], "end": [40]})
    again = pickle.loads(pickle.dumps(found))
    assert torch.equal(again.cut(loci), found.cut(loci))
    assert again.fingerprint() == found.fingerprint()
    path.write_bytes(blocks(b">chr2\nAAAA\n"))
    os.utime(path, (1, 1))
    with pytest.raises(sl.InputError, match="changed"):
        found.cut(loci)


def test_unknown_stretches_and_letters(tmp_path):
    text = draw(200, 0, "ACGT") + "N" * 150 + draw(100, 1, "ACGT") + "N" * 30
    plain = write_genome(tmp_path / "toy.fa", {"chr1": text})
    both = sl.Genome(plain), sl.Genome(pack(plain))
    stretches = [[one.tolist() for one in unknown_stretches(genome, 0, 20)] for genome in both]
    assert stretches[0] == stretches[1] == [[200, 450], [350, 480]]
    assert both[0].unknown_letters() == both[1].unknown_letters()


@pytest.mark.reliability(
    "FASTA files",
    "a genome compressed by bgzip: a letter that is none, lines of different lengths, no FASTA, compressed twice",
    "the errors of a plain one, with record and position",
)
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (">a\nACGT\nAC!T\n>b\nA\n", r"a\.fa\.gz, a:6 is '!'"),
        (">a\nACGT\nAC\nACGT\n", "'a' has lines of different lengths"),
        ("chr1\t2\t3\n", "does not begin with '>'"),
        ("", "does not begin with '>'"),
        (blocks(b">a\nACGT\n"), "is compressed twice"),
    ],
)
def test_what_is_refused(tmp_path, text, says):
    path = tmp_path / "a.fa.gz"
    path.write_bytes(blocks(text if isinstance(text, bytes) else text.encode()))
    loci = pd.DataFrame({"chrom": ["b", "a", "a"], "start": [0, -2, 1], "end": [8, 6, 9]})
    with pytest.raises(sl.InputError, match=says):
        sl.Genome(path).cut(loci)
