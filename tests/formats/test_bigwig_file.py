"""What is written is read back with pyBigWig, whose C library others wrote from the description of the format."""

import math
import shutil
import subprocess
import tracemalloc

import numpy as np
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from seqlight.formats import bigwig_file as bigwig_file_module
from seqlight.formats import bigwig_pieces, bigwig_trees
from seqlight.formats.bigwig_file import bigwig_file
from seqlight.formats.bigwig_header import is_bigwig

SIZES = {"chr2": 700, "chr10": 300, "scaffold_with_a_long_name.1": 40}


def write(path, runs, sizes=SIZES):
    with bigwig_file(path, sizes) as file:
        for chrom, first, values in runs:
            file.add(chrom, first, np.asarray(values))
    return path


def read(path):
    assert is_bigwig(path)
    with pyBigWig.open(str(path)) as file:
        sizes = file.chroms()
        return sizes, {chrom: np.array(file.values(chrom, 0, size)) for chrom, size in sizes.items()}


def drawn_runs(gaps, seed):
    """Return runs with gaps of the given lengths between them, of values that depend on the seed."""
    rng, runs, gaps = np.random.RandomState(seed), [], list(gaps)
    for chrom, size in SIZES.items():
        at = 0
        while gaps and at < size:
            at += gaps.pop()
            n = min(rng.randint(1, 200), size - at)
            if n > 0:
                runs.append((chrom, at, rng.normal(size=n).astype(np.float32)))
            at += n
    return runs


def dense(runs, sizes=SIZES):
    found = {chrom: np.full(size, np.nan) for chrom, size in sizes.items()}
    for chrom, first, values in runs:
        found[chrom][first : first + len(values)] = values
    return found


def make_pieces_small(monkeypatch):
    """Make pieces, blocks, bins and nodes so small that a short file has many of each."""
    monkeypatch.setattr(bigwig_trees, "FAN_OUT", 2)
    for module in (bigwig_pieces, bigwig_file_module):
        monkeypatch.setattr(module, "PIECE", 64)
        monkeypatch.setattr(module, "ZOOMS", (4, 16, 64))
        monkeypatch.setattr(module, "VALUES", 10)
        monkeypatch.setattr(module, "SUMMARIES", 3)


@pytest.fixture
def small_pieces(monkeypatch):
    make_pieces_small(monkeypatch)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 90), max_size=30), st.integers(0, 9), st.booleans())
def test_values_are_read_back(tmp_path_factory, gaps, seed, small):
    path = tmp_path_factory.mktemp("a") / "a.bw"
    runs = drawn_runs(gaps, seed)
    with pytest.MonkeyPatch.context() as patch:
        if small:
            make_pieces_small(patch)
        write(path, runs)
    sizes, found = read(path)
    assert list(sizes.items()) == list(SIZES.items())
    expected = dense(runs)
    for chrom in SIZES:
        np.testing.assert_array_equal(found[chrom], expected[chrom].astype(np.float32))
    every = np.concatenate([values for _, _, values in runs]).astype(np.float64) if runs else np.zeros(0)
    with pyBigWig.open(str(path)) as file:
        header = file.header()
    assert header["nBasesCovered"] == len(every)
    assert header["sumData"] == int(every.sum())


def test_trees_of_several_levels(tmp_path, small_pieces):
    sizes = {f"scaffold{i}": 90 for i in range(37)}
    runs = [(chrom, 3 + 20 * k, np.full(11, i + k)) for i, chrom in enumerate(sizes) for k in range(4)]
    found_sizes, found = read(write(tmp_path / "a.bw", runs, sizes))
    assert list(found_sizes) == list(sizes)
    expected = dense(runs, sizes)
    for chrom in sizes:
        np.testing.assert_array_equal(found[chrom], expected[chrom])


@pytest.mark.parametrize("covered", [1.0, 0.3])
def test_summaries_are_those_of_the_values(tmp_path, covered):
    rng, size = np.random.RandomState(0), 2**21
    values = rng.normal(2.0, size=size).astype(np.float32)
    there = np.repeat(rng.uniform(size=size // 1024) < covered, 1024)
    borders = np.flatnonzero(np.diff(there, prepend=False, append=False)).reshape(-1, 2)
    runs = [("chr1", int(a), values[a:b]) for a, b in borders]
    path = write(tmp_path / "a.bw", runs, {"chr1": size, "chr2": 100})
    with pyBigWig.open(str(path)) as file:
        assert file.header()["nLevels"] == 8
        for kind, reduce in [("mean", np.mean), ("max", np.max), ("min", np.min), ("std", np.std)]:
            for bins in (1, 32, 512):
                found = file.stats("chr1", 0, size, type=kind, nBins=bins)
                parts = zip(values.reshape(bins, -1), there.reshape(bins, -1), strict=True)
                expected = [float(reduce(part[on].astype(np.float64))) if on.any() else math.nan for part, on in parts]
                got = [math.nan if one is None else one for one in found]
                np.testing.assert_allclose(got, expected, rtol=1e-3 if kind == "std" else 1e-6)
        assert file.stats("chr1", 0, size, type="coverage")[0] == pytest.approx(there.mean(), rel=1e-6)


def test_a_file_without_values(tmp_path):
    sizes, found = read(write(tmp_path / "a.bw", []))
    assert list(sizes) == list(SIZES)
    assert all(np.isnan(one).all() for one in found.values())


def test_the_bytes_depend_neither_on_how_values_come_nor_on_threads(tmp_path, monkeypatch, small_pieces):
    values = np.random.RandomState(0).normal(size=600).astype(np.float32)
    whole = write(tmp_path / "a.bw", [("chr2", 20, values)]).read_bytes()
    monkeypatch.setattr(bigwig_file_module, "_THREADS", 1)
    for n in (1, 7, 64, 100):
        parts = [("chr2", 20 + i, values[i : i + n].astype(np.float64)) for i in range(0, 600, n)]
        assert write(tmp_path / "b.bw", parts).read_bytes() == whole


def test_largest_values(tmp_path):
    largest = np.finfo(np.float32).max
    _, found = read(write(tmp_path / "a.bw", [("chr2", 0, [largest, -largest, 1e-45])]))
    assert found["chr2"][:3].tolist() == [largest, -largest, float(np.float32(1e-45))]


@pytest.mark.reliability("bigWig files", "an error while one is written", "no file, whole or partial, is left")
def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(KeyError):
        write(tmp_path / "a.bw", [("chr2", 0, np.ones(5)), ("elsewhere", 0, np.ones(5))])
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_chromosome(tmp_path, monkeypatch):
    monkeypatch.setattr(bigwig_file_module, "_THREADS", 1)  # with more, it depends on how many work at the same moment

    def peak(pieces):
        values = np.zeros(2**18, np.float32)
        tracemalloc.start()
        try:
            with bigwig_file(tmp_path / "a.bw", {"chr1": 2**24}) as file:
                for i in range(pieces * 4):
                    file.add("chr1", i * 2**18, values)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(5), peak(13)
    assert many < few * 1.1 + 2**20


TRACKS = "[x-axis]\n[attributions]\nfile = a.bw\nheight = 3\ncolor = #000000\nsummary_method = max\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pyGenomeTracks") is None, reason="needs pyGenomeTracks, which pins old libraries")
@pytest.mark.parametrize("region", ["chr1:0-2097152", "chr1:1000000-1002000"])
def test_pygenometracks_draws_it(tmp_path, region):
    values = np.zeros(2**21, np.float32)
    values[2**20 - 1000 : 2**20 + 1000] = values[1_000_500:1_001_500] = 1
    write(tmp_path / "a.bw", [("chr1", 0, values)], {"chr1": 2**21})
    (tmp_path / "tracks.ini").write_text(TRACKS)
    command = ["pyGenomeTracks", "--tracks", "tracks.ini", "--region", region, "--outFileName", "a.png"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=200)
    dark = (imread(tmp_path / "a.png")[..., :3].max(axis=2) < 0.1).sum(axis=0)
    # Columns that are filled to the top: those of the peak, half of the shorter region.
    filled = (dark > 0.4 * dark.max()).mean()
    assert (0.35 < filled < 0.5) if "1000000" in region else (0.001 < filled < 0.05)
