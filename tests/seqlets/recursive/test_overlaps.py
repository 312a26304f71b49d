import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.seqlets.recursive.overlaps import drop_overlaps, sort_by_position
from seqlight.seqlets.recursive.span_calls import Calls

LENGTH = 30


def calls(*rows):
    """Return calls from rows of (row, start, length, attribution, p-value)."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return Calls(table[:, :3].astype(np.int64), table[:, 3:])


def remaining(*lists):
    found = drop_overlaps(sort_by_position([calls(*one) for one in lists], LENGTH), LENGTH)
    return [(*span, *score) for span, score in zip(found.spans.tolist(), found.scores.tolist(), strict=True)]


POSITIVE, NEGATIVE = (0, 2, 10, 5.0, 1e-3), (0, 8, 10, -4.0, 1e-3)


@pytest.mark.parametrize(
    ("positive", "negative", "wanted"),
    [
        pytest.param((0, 2, 10, 5.0, 1e-2), NEGATIVE, "negative", id="the smaller p-value"),
        pytest.param(POSITIVE, (0, 8, 10, -6.0, 1e-3), "negative", id="then the larger absolute attribution"),
        pytest.param(POSITIVE, (0, 1, 10, -5.0, 1e-3), "negative", id="then the smaller start"),
        pytest.param(POSITIVE, (0, 2, 10, -5.0, 1e-3), "positive", id="then the positive"),
        pytest.param(POSITIVE, (0, 4, 2, -5.0, 1e-4), "negative", id="also inside the other"),
    ],
)
def test_which_of_two_calls_remains(positive, negative, wanted):
    assert remaining([positive], [negative]) == [{"positive": positive, "negative": negative}[wanted]]


def test_neighbours_and_other_rows_do_not_overlap():
    rows = (
        [(0, 2, 10, 5.0, 1e-3), (0, 20, 10, 5.0, 1e-3), (2, 0, 30, 1.0, 0.1)],
        [(0, 12, 8, -1.0, 0.5), (1, 0, 4, -1.0, 0.5)],
    )
    assert len(remaining(*rows)) == 5


def test_dropped_calls_block_no_others():
    chain = [(0, 2, 6, 1.0, 1e-4), (0, 12, 6, 1.0, 1e-2)], [(0, 6, 8, -1.0, 1e-3), (0, 16, 8, -1.0, 1e-1)]
    assert [row[1] for row in remaining(*chain)] == [2, 12]
    # The best is in the middle: both of its neighbours are dropped, and theirs remain.
    chain = [(0, 2, 6, 1.0, 1e-4), (0, 12, 6, 1.0, 1e-7)], [(0, 6, 8, -1.0, 1e-6), (0, 16, 8, -1.0, 1e-5)]
    assert [row[1] for row in remaining(*chain)] == [2, 12]


def test_nothing():
    assert remaining() == remaining([], []) == []


@st.composite
def one_sign(draw, sign):
    rows = []
    for row in range(3):
        at = draw(st.integers(0, 6))
        while at + 2 <= LENGTH:
            length = draw(st.integers(2, min(9, LENGTH - at)))
            p_value, size = draw(st.sampled_from([1e-4, 1e-3, 1e-2])), draw(st.sampled_from([1.0, 2.0]))
            rows.append((row, at, length, sign * size, p_value))
            at += length + draw(st.integers(0, 9))
    return draw(st.permutations(rows))


@given(one_sign(1), one_sign(-1))
def test_against_accepting_calls_one_by_one(positive, negative):
    wanted, taken = [], set()
    for row in sorted(positive + negative, key=lambda row: (row[4], -abs(row[3]), row[:2], row[3] < 0)):
        places = {(row[0], at) for at in range(row[1], row[1] + row[2])}
        if taken.isdisjoint(places):
            taken |= places
            wanted.append(row)
    assert remaining(positive, negative) == sorted(wanted)
