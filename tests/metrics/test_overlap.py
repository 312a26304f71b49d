from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.metrics.overlap import COLUMNS, Overlap, best_iou, intersection_over_union, overlap, overlap_mask

rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-2, 12), st.integers(0, 6)).map(lambda row: (*row[:2], row[1] + row[2])),
    max_size=8,
)


def table(intervals):
    return pd.DataFrame(intervals, columns=list(COLUMNS))


def shared(a, b):
    return len(set(range(a[1], a[2])) & set(range(b[1], b[2]))) if a[0] == b[0] else 0


@given(rows, rows, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_against_sets_of_positions(found, known, least):
    hits = [any(shared(a, b) >= least for b in known) for a in found]
    reached = [any(shared(a, b) >= least for b in found) for a in known]
    assert overlap_mask(table(found), table(known), least).tolist() == hits
    recall, precision, _ = overlap(table(found), table(known), least)
    for value, flags in ((recall, reached), (precision, hits)):
        assert math.isnan(value) if not flags else value == pytest.approx(sum(flags) / len(flags))


def positions(intervals):
    return {(example, at) for example, start, end in intervals for at in range(start, end)}


@given(rows, rows)
@settings(max_examples=100, deadline=None)
def test_shares_of_positions_against_sets(found, known):
    either = positions(found) | positions(known)
    share = intersection_over_union(table(found), table(known))
    assert share == overlap(table(found), table(known)).iou or math.isnan(share)
    assert math.isnan(share) if not either else share == len(positions(found) & positions(known)) / len(either)
    best = [
        max((shared(a, b) / max(len(positions([a]) | positions([b])), 1) for b in known if a[0] == b[0]), default=0)
        for a in found
    ]
    assert best_iou(table(found), table(known)).tolist() == pytest.approx(best)


def test_distant_examples_do_not_overflow():
    far = table([(10**9, 0, 10**4), (0, 5, 10**4)])
    assert intersection_over_union(far, far) == 1


def test_edges():
    one = table([(0, 3, 5)])
    nothing = table([])
    assert all(map(math.isnan, overlap(nothing, nothing)))
    found = overlap(nothing, one)
    assert found.recall == 0
    assert math.isnan(found.precision)
    assert overlap(one, table([(0, 5, 9)])) == Overlap(0, 0, 0)  # they touch
    shuffled = table([(1, 0, 9), (0, 4, 9)]).set_index(pd.Index([7, 7]))
    assert overlap(shuffled, one) == Overlap(1, 0.5, 1 / 15)


@pytest.mark.parametrize(
    ("found", "known", "least", "message"),
    [
        (table([(0, 3, 5)]).drop(columns="start"), table([]), 1, "no column 'start'"),
        (table([(0, 5, 3)]), table([]), 1, "ends before it starts"),
        (table([(0, 3, 5)]).astype(float), table([]), 1, "float64"),
        (table([]), table([]), 0, "min_overlap is 0"),
        (table([]), [(0, 3, 5)], 1, "is a list: expected a pandas.DataFrame"),
    ],
)
def test_invalid_tables(found, known, least, message):
    with pytest.raises(sl.InputError, match=message):
        overlap(found, known, least)
