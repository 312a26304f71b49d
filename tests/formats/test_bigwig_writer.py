import math
import tracemalloc
from operator import itemgetter

import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from cut_windows import WINDOW
from seqlight.formats import bigwig_writer
from seqlight.formats.bigwig_writer import write_bigwig
from seqlight.sequence.loci import as_loci

pyBigWig = pytest.importorskip("pyBigWig")


def expected(cut, track):
    """All values of each position that any window covers, with the distance from the window's middle."""
    found = {(chrom, at): [] for chrom, size in cut.sizes.items() for at in range(size)}
    for row, (chrom, start, end, strand) in enumerate(cut.loci.itertuples(index=False)):
        for i in range(WINDOW):
            at = end - 1 - i if strand == "-" else start + i
            if (chrom, at) in found:
                found[chrom, at].append((abs(at - (start + end - 1) / 2), float(track[row, i])))
    return found


def read(path):
    with pyBigWig.open(str(path)) as file:
        return file.chroms(), {
            (chrom, at): value
            for chrom, size in file.chroms().items()
            for at, value in enumerate(file.values(chrom, 0, size))
        }


@pytest.mark.parametrize("overlaps", ["mean", "nearest"])
def test_each_position_has_the_value_of_its_windows(cut, tmp_path, overlaps):
    track = np.random.RandomState(0).normal(size=(len(cut.X), WINDOW)).astype(np.float32)
    path = tmp_path / "attributions.bw"
    write_bigwig(path, track, cut.loci, cut.sizes, overlaps)
    sizes, values = read(path)
    assert sizes == cut.sizes
    several = 0
    for place, wanted in expected(cut, track).items():
        several += len(wanted) > 1
        if not wanted:
            assert math.isnan(values[place])
        else:
            value = np.mean([one for _, one in wanted]) if overlaps == "mean" else min(wanted, key=itemgetter(0))[1]
            assert values[place] == pytest.approx(value, rel=1e-6)
    assert several >= 10
    assert [one.name for one in tmp_path.iterdir()] == ["attributions.bw"]


def test_contributions_are_summed_over_letters(cut, tmp_path):
    contributions = cut.X * torch.arange(1.0, WINDOW + 1)
    contributions.requires_grad_()
    write_bigwig(tmp_path / "a.bw", contributions[:1], cut.loci[:1], cut.sizes)
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert file.values("chr2", 30, 70) == list(range(1, 41))
        assert file.intervals("chr10") is None


def test_sizes_of_chromosomes_are_read_from_a_file(cut, tmp_path):
    table = tmp_path / "toy.chrom.sizes"
    table.write_text("".join(f"{chrom}\t{size}\n" for chrom, size in cut.sizes.items()))
    track = np.ones((len(cut.X), WINDOW))
    write_bigwig(tmp_path / "a.bw", track, cut.loci, cut.sizes)
    write_bigwig(tmp_path / "b.bw", track, cut.loci, table)
    assert (tmp_path / "a.bw").read_bytes() == (tmp_path / "b.bw").read_bytes()


def test_windows_that_overlap_can_be_refused(cut, tmp_path):
    track = np.ones((len(cut.X), WINDOW))
    with pytest.raises(sl.InputError, match="windows overlap at chr2:30"):
        write_bigwig(tmp_path / "a.bw", track, cut.loci, cut.sizes, "error")
    assert not list(tmp_path.iterdir())
    write_bigwig(tmp_path / "a.bw", track[[0, 2, 3]], cut.loci.iloc[[0, 2, 3]], cut.sizes, "error")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"track": np.ones((6, 39))}, "does not have 39 positions"),
        ({"track": np.ones((5, 40))}, "6 loci for 5"),
        ({"track": np.ones(40)}, "expected .windows, positions"),
        ({"track": np.full((6, 40), np.nan)}, "NaN"),
        ({"chrom_sizes": {"chr2": 150}}, "no 'chr10'"),
        ({"overlaps": "sum"}, "overlaps is 'sum'"),
        ({"track": "attributions.bw"}, "track is a str"),
        ({"chrom_sizes": None}, "chrom_sizes is None"),
    ],
)
def test_bad_calls(cut, tmp_path, change, message):
    options = {"track": np.ones((6, 40)), "loci": cut.loci, "chrom_sizes": cut.sizes, **change}
    with pytest.raises(sl.InputError, match=message):
        write_bigwig(tmp_path / "a.bw", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.reliability(
    "bigWig files", "values or positions that the format cannot hold; complex numbers", "an error, and no file"
)
@pytest.mark.parametrize(
    ("track", "sizes", "said"),
    [
        (np.full((1, 5), 1e39), {"chr1": 100}, r"numbers beyond 3\.4e\+38"),
        (np.ones((1, 5), complex), {"chr1": 100}, "complex numbers"),
        (np.ones((1, 5)), {"chr1": 2**32}, "'chr1' of 4294967296 positions"),
        (np.ones((1, 5)), {"chr1": 100, "a\0b": 100}, "no zero bytes in a name"),
    ],
)
def test_what_a_bigwig_file_cannot_hold(tmp_path, track, sizes, said):
    loci = {"chrom": ["chr1"], "start": [10], "end": [15]}
    with pytest.raises(sl.InputError, match=said):
        write_bigwig(tmp_path / "a.bw", track, pd.DataFrame(loci), sizes)
    assert not list(tmp_path.iterdir())


class Stored:
    """A column of results as far as the writer knows it: read by row, never whole."""

    def __init__(self, values, most):
        self.values, self.most, self.shape, self.dtype = values, most, values.shape, values.dtype

    def blocks(self):
        raise AssertionError("rows come in the order of the genome")

    def __getitem__(self, rows):
        assert len(rows) <= self.most
        return self.values[rows]


class Run(dict):
    """The results of a run as far as the writer knows them."""

    names = ("attributions",)

    def __init__(self, loci, **columns):
        super().__init__(columns)
        self.loci = loci


@pytest.mark.parametrize("overlaps", ["mean", "nearest"])
def test_results_are_read_a_few_rows_at_a_time(cut, tmp_path, monkeypatch, overlaps):
    values = np.random.RandomState(0).normal(size=(len(cut.X), 4, WINDOW)).astype(np.float32)
    write_bigwig(tmp_path / "a.bw", torch.from_numpy(values), cut.loci, cut.sizes, overlaps)
    monkeypatch.setattr(bigwig_writer, "_NUMBERS", 2 * 4 * WINDOW)
    stored = Stored(values, most=2)
    write_bigwig(tmp_path / "b.bw", stored, cut.loci, cut.sizes, overlaps)
    write_bigwig(tmp_path / "c.bw", Run(as_loci(cut.loci), attributions=stored), None, cut.sizes, overlaps)
    assert (tmp_path / "b.bw").read_bytes() == (tmp_path / "a.bw").read_bytes() == (tmp_path / "c.bw").read_bytes()


def test_one_of_several_targets(cut, tmp_path):
    values = np.random.RandomState(0).normal(size=(len(cut.X), 3, 4, WINDOW))
    write_bigwig(tmp_path / "a.bw", values[:, 2], cut.loci, cut.sizes)
    write_bigwig(tmp_path / "b.bw", values, cut.loci, cut.sizes, target=2)
    assert (tmp_path / "b.bw").read_bytes() == (tmp_path / "a.bw").read_bytes()
    with pytest.raises(sl.InputError, match="choose one with `target`"):
        write_bigwig(tmp_path / "c.bw", values, cut.loci, cut.sizes)
    with pytest.raises(sl.InputError, match="target is 3, and the track has 3"):
        write_bigwig(tmp_path / "c.bw", values, cut.loci, cut.sizes, target=3)
    with pytest.raises(sl.InputError, match="loci are missing"):
        write_bigwig(tmp_path / "c.bw", values, chrom_sizes=cut.sizes, target=0)


def test_a_track_of_tensors_takes_few_bytes_more_than_itself(tmp_path):
    n, length = 2000, 1000
    track = np.ones((n, length), np.float32)
    loci = pd.DataFrame({"chrom": "chr1", "start": np.arange(n) * length, "end": (np.arange(n) + 1) * length})
    tracemalloc.start()
    try:
        write_bigwig(tmp_path / "a.bw", track, loci, {"chr1": n * length})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80e6  # it was 80 bytes a value, 160 MB
