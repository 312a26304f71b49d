import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.datasets.tiled_genome import TiledGenome
from seqlight.formats.genome import Genome
from toy_genome import window as text_of
from toy_genome import write_genome


def literal(genome, window, tile, step, stretches):
    """Return the tiles (chromosome, start, low, high) whose windows have a letter, one after another."""
    found, left = [], (window - tile) // 2
    for chrom, low, high in stretches:
        at = low
        while True:
            if set(text_of(genome, chrom, at - left, at - left + window)) != {"N"}:
                found.append((chrom, at, low, high))
            if at + tile >= high:
                break
            at += step
    return found


def tiles_of(dataset):
    names = list(dataset.sizes)
    at = dataset.tiles(np.arange(len(dataset)))
    return [(names[record], *rest) for record, *rest in zip(*(one.tolist() for one in at), strict=True)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_tiles_cover_what_is_known(data, tmp_path_factory):
    letters = st.lists(st.tuples(st.sampled_from("ACGTNn"), st.integers(1, 12)), max_size=8)
    genome = {name: "".join(one * n for one, n in data.draw(letters)) for name in ("chr1", "chr2")}
    window = data.draw(st.integers(1, 14))
    tile = data.draw(st.integers(1, window))
    step = data.draw(st.integers(1, tile))
    path = write_genome(tmp_path_factory.mktemp("a") / "toy.fa", genome, line=7)
    dataset = TiledGenome(path, window, tile, step=step)
    stretches = [(name, 0, len(text)) for name, text in genome.items() if text]
    expected = literal(genome, window, tile, step, stretches)
    assert tiles_of(dataset) == expected
    every = literal({name: "A" * len(text) for name, text in genome.items()}, window, tile, step, stretches)
    assert dataset.skipped == len(every) - len(expected)
    if expected:
        left = (window - tile) // 2
        cut = [text_of(genome, chrom, at - left, at - left + window) for chrom, at, _, _ in expected]
        assert sl.characters(dataset.batch(range(len(dataset))), allow_N=True) == cut


def test_regions_are_joined_and_covered_once(genome, fasta):
    table = pd.DataFrame(
        [("chr2", 40, 61), ("chr1", 10, 30), ("chr1", 25, 50), ("chr1", 50, 53), ("chr1", 300, 317)],
        columns=["chrom", "start", "end"],
    )
    dataset = TiledGenome(fasta, 20, 8, regions=table)
    stretches = [("chr1", 10, 53), ("chr1", 300, 317), ("chr2", 40, 61)]
    assert tiles_of(dataset) == literal(genome, 20, 8, 8, stretches)
    assert tiles_of(TiledGenome(fasta, 20, 8, regions=table, chroms=["chr2"])) == literal(
        genome, 20, 8, 8, stretches[2:]
    )
    assert len(TiledGenome(fasta, 20, chroms=["chr1"])) == 32  # of ten positions, half of the window


@pytest.mark.reliability("tracks", "regions off their chromosome, and tiles that do not fit", "one sentence")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tile": 21}, "tile is 21 and window 20"),
        ({"tile": 8, "step": 9}, "step is 9 and tile 8"),
        ({"tile": 0}, "tile is 0"),
        ({"window": 0}, "window is 0"),
        ({"chroms": ["chr7"]}, "'chr7' is not in the genome toy.fa"),
        ({"chroms": ["1"]}, "it has 'chr1', so spell both alike"),
        (
            {"regions": pd.DataFrame({"chrom": ["chr1"], "start": [310], "end": [318]})},
            "is not on its chromosome of 317",
        ),
        ({"regions": pd.DataFrame({"chrom": ["chr9"], "start": [1], "end": [8]})}, "'chr9' is not in the genome"),
        ({"regions": 3}, "regions is"),
    ],
)
def test_bad_calls(fasta, options, said):
    with pytest.raises(sl.InputError, match=said):
        TiledGenome(fasta, **{"window": 20} | options)


def test_a_region_of_a_file_is_named_by_its_line(fasta, tmp_path):
    bed = tmp_path / "a.bed"
    bed.write_text("# peaks\nchr1\t3\t9\nchr2\t140\t151\n")
    with pytest.raises(sl.InputError, match=r"a.bed, line 3: chr2:140-151 is not on its chromosome of 150 positions"):
        TiledGenome(fasta, 20, regions=bed)
    assert len(TiledGenome(fasta, 20, regions=bed, chroms=["chr1"])) == 1


def test_the_fingerprint_depends_on_the_tiles_alone(fasta, tmp_path):
    one = TiledGenome(fasta, 20, 8)
    again = TiledGenome(Genome(fasta, write_index=False), 20, 8)
    assert one.fingerprint() == again.fingerprint() == pickle.loads(pickle.dumps(one)).fingerprint()
    others = [TiledGenome(fasta, 22, 8), TiledGenome(fasta, 20, 6), TiledGenome(fasta, 20, 8, chroms=["chr1"])]
    assert len({one.fingerprint(), *(other.fingerprint() for other in others)}) == 4


def test_the_memory_of_a_file_is_given_back(fasta, monkeypatch):
    dataset = TiledGenome(fasta, 20, 8)
    monkeypatch.setattr("seqlight.datasets.tiled_genome.RELEASED", 50)
    before = dataset.batch(range(5))
    assert dataset.genome._text is None
    assert (dataset.batch(range(5)) == before).all()


def test_a_large_genome_takes_no_memory_for_its_windows(tmp_path):
    path = write_genome(tmp_path / "a.fa", {"chr1": "ACGTTGCA" * 50_000}, line=60)
    dataset = TiledGenome(path, 50, 2)
    assert len(dataset) == 200_000
    assert sum(one.nbytes for one in [*dataset._fields, dataset._ends]) < 1000
