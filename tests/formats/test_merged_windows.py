import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.formats.merged_windows import PlacedWindows, merge_windows


def blocks_of(start, low, high, row, values, size):
    order = np.argsort(start, kind="stable")
    for i in range(0, len(start), size):
        mine = order[i : i + size]
        yield PlacedWindows(start[mine], low[mine], high[mine], row[mine], values[mine])


def merged(*arguments, overlaps="mean", size=3):
    found = {}
    for first, run in merge_windows(blocks_of(*arguments, size), overlaps, "chr1"):
        for i, value in enumerate(run.tolist()):
            assert first + i not in found
            found[first + i] = value
    assert list(found) == sorted(found)
    return found


def literal(start, low, high, row, values, overlaps):
    length, found = values.shape[1], {}
    for i in range(len(start)):
        for k in range(length):
            at = int(start[i]) + k
            if low[i] <= at < high[i]:
                found.setdefault(at, []).append((abs(2 * k - (length - 1)), int(row[i]), float(values[i, k])))
    if overlaps == "mean":
        return {at: np.mean([value for *_, value in each]) for at, each in found.items()}
    return {at: min(each)[2] for at, each in found.items()}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_windows_in_any_blocks_give_what_the_rule_says(data):
    n, length = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6))
    start = np.array(data.draw(st.lists(st.integers(-4, 30), min_size=n, max_size=n)), np.int64)
    if data.draw(st.booleans()):  # often windows lie side by side
        start = start // length * length
    start = np.sort(start, kind="stable")
    low, high = np.full(n, data.draw(st.integers(0, 5))), np.full(n, data.draw(st.integers(6, 32)))
    row = np.random.RandomState(n).permutation(n)
    values = np.random.RandomState(0).normal(size=(n, length))
    for overlaps in ("mean", "nearest"):
        expected = literal(start, low, high, row, values, overlaps)
        for size in (1, 2, 100):
            found = merged(start, low, high, row, values, overlaps=overlaps, size=size)
            assert found.keys() == expected.keys()
            assert all(found[at] == pytest.approx(value, rel=1e-12) for at, value in expected.items())


def test_windows_of_two_blocks_that_overlap_can_be_refused():
    start = np.array([0, 5, 9])
    one = np.ones(3, np.int64)
    with pytest.raises(sl.InputError, match="windows overlap at chr1:9"):
        merged(start, one * 0, one * 50, start, np.ones((3, 5)), overlaps="error", size=1)


def test_windows_side_by_side_are_one_run():
    start = np.arange(0, 40, 5)
    one, values = np.ones(8, np.int64), np.ones((8, 5), np.float32)
    runs = list(merge_windows(blocks_of(start, one * 2, one * 38, start, values, 4), "mean", "chr1"))
    assert [(first, len(run)) for first, run in runs] == [(2, 3), (5, 15), (20, 15), (35, 3)]
    assert all(run.base is not None for _, run in runs)  # nothing is copied
