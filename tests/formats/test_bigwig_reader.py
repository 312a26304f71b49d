import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.formats.bigwig_reader import BigWig

big = pytest.importorskip("pyBigWig")


def entries(kind, rng, n):
    """Return starts and ends and values of what does not overlap, of one kind."""
    if kind == "steps of one":
        return np.arange(7, 7 + n), np.arange(8, 8 + n), rng.normal(size=n)
    if kind == "steps with gaps":
        return 5 + 4 * np.arange(n), 8 + 4 * np.arange(n), rng.normal(size=n)
    start = np.cumsum(rng.randint(3, 9, n))
    if kind == "places":
        return start, start + 3, rng.normal(size=n)
    return start, start + rng.randint(1, 4, n), rng.normal(size=n)


def add(file, kind, chrom, start, end, values):
    if kind in ("steps of one", "steps with gaps"):
        span, step = int(end[0] - start[0]), int(start[1] - start[0])
        file.addEntries(chrom, int(start[0]), values=values.tolist(), span=span, step=step)
    elif kind == "places":
        file.addEntries(chrom, start.tolist(), values=values.tolist(), span=3)
    else:
        file.addEntries([chrom] * len(start), start.tolist(), ends=end.tolist(), values=values.tolist())


KINDS = ["steps of one", "steps with gaps", "places", "spans"]


def made(path, n=3000, kinds=tuple(KINDS), **header):
    rng = np.random.RandomState(0)
    file = big.open(str(path), "w")
    sizes = {f"chr{i}": 8 * n + 100 for i in range(len(kinds) + 1)}
    file.addHeader(list(sizes.items()), **header)
    for i, kind in enumerate(kinds):
        add(file, kind, f"chr{i}", *entries(kind, rng, n))
    file.close()
    return path


@pytest.mark.parametrize("length", [1, 30, 2000])
def test_values_are_those_of_pybigwig(tmp_path, length):
    path = made(tmp_path / "a.bw")
    ours, theirs = BigWig(path), big.open(str(path))
    assert ours.sizes == theirs.chroms()
    rng = np.random.RandomState(1)
    for chrom, size in ours.sizes.items():
        # Files name only chromosomes that have values; the last has none.
        start = np.append(rng.randint(-50, size, 40), [-length, -1, size - 1, size])
        found = ours.read(chrom, start, length)
        assert found.dtype == np.float32
        for row, first in zip(found, start.tolist(), strict=True):
            low, high = max(first, 0), min(first + length, size)
            expected = np.full(length, np.nan)
            if low < high:
                expected[low - first : high - first] = theirs.values(chrom, low, high)
            np.testing.assert_array_equal(row, expected)
    assert np.isnan(ours.read("chrZ", np.array([0]), length)).all()


@given(data=st.data())
def test_any_spans(tmp_path_factory, data):
    gaps = data.draw(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.integers(-5, 5)), min_size=1))
    at, start, end, values = 0, [], [], []
    for gap, width, value in gaps:
        start.append(at + gap), end.append(at + gap + width), values.append(float(value))
        at += gap + width
    path = tmp_path_factory.mktemp("any") / "a.bw"
    file = big.open(str(path), "w")
    file.addHeader([("1", at + 10)])
    file.addEntries(["1"] * len(start), start, ends=end, values=values)
    file.close()
    everything = np.full(at + 10, np.nan)
    for a, b, value in zip(start, end, values, strict=True):
        everything[a:b] = value
    first, length = data.draw(st.integers(0, at)), data.draw(st.integers(1, 10))
    (found,) = BigWig(path).read("1", np.array([first]), length)
    np.testing.assert_array_equal(found, everything[first : first + length])


def test_it_can_be_pickled(tmp_path):
    file = BigWig(made(tmp_path / "a.bw", n=100))
    again = pickle.loads(pickle.dumps(file))
    np.testing.assert_array_equal(again.read("chr1", np.array([3]), 99), file.read("chr1", np.array([3]), 99))


@pytest.mark.parametrize("content", [b"", b"short", b"\x00" * 200, (0x888FFC26).to_bytes(4, "big") + b"\0" * 200])
def test_invalid_files(tmp_path, content):
    (tmp_path / "a.bw").write_bytes(content)
    with pytest.raises(sl.InputError, match="is no bigWig file"):
        BigWig(tmp_path / "a.bw")


def test_files_that_are_cut(tmp_path):
    whole = made(tmp_path / "a.bw", n=2000).read_bytes()
    (tmp_path / "cut.bw").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(sl.InputError, match="is no bigWig file, or only a part"):
        BigWig(tmp_path / "cut.bw")
