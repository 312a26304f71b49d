import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.seqlets.recursive.overlaps import in_place_order, without_overlaps
from seqlight.seqlets.recursive.span_calls import Calls

LENGTH = 30


def calls(*rows):
    """Calls of (row, start, length, attribution, p-value)."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return Calls(table[:, :3].astype(np.int64), table[:, 3:])


def left(*lists):
    found = without_overlaps(in_place_order([calls(*one) for one in lists], LENGTH), LENGTH)
    return [(*where, *score) for where, score in zip(found.where.tolist(), found.score.tolist(), strict=True)]


POSITIVE, NEGATIVE = (0, 2, 10, 5.0, 1e-3), (0, 8, 10, -4.0, 1e-3)


@pytest.mark.parametrize(
    ("positive", "negative", "wanted"),
    [
        pytest.param((0, 2, 10, 5.0, 1e-2), NEGATIVE, "negative", id="the smaller p-value"),
        pytest.param(POSITIVE, (0, 8, 10, -6.0, 1e-3), "negative", id="then the larger absolute attribution"),
        pytest.param(POSITIVE, (0, 1, 10, -5.0, 1e-3), "negative", id="then what begins further left"),
        pytest.param(POSITIVE, (0, 2, 10, -5.0, 1e-3), "positive", id="then the positive"),
        pytest.param(POSITIVE, (0, 4, 2, -5.0, 1e-4), "negative", id="also inside the other"),
    ],
)
def test_which_of_two_gives_way(positive, negative, wanted):
    assert left([positive], [negative]) == [{"positive": positive, "negative": negative}[wanted]]


def test_neighbours_and_other_rows_do_not_overlap():
    rows = (
        [(0, 2, 10, 5.0, 1e-3), (0, 20, 10, 5.0, 1e-3), (2, 0, 30, 1.0, 0.1)],
        [(0, 12, 8, -1.0, 0.5), (1, 0, 4, -1.0, 0.5)],
    )
    assert len(left(*rows)) == 5


def test_what_gave_way_stands_in_nobodys_way():
    chain = [(0, 2, 6, 1.0, 1e-4), (0, 12, 6, 1.0, 1e-2)], [(0, 6, 8, -1.0, 1e-3), (0, 16, 8, -1.0, 1e-1)]
    assert [row[1] for row in left(*chain)] == [2, 12]
    # The best is in the middle: both of its neighbours go, and theirs stay.
    chain = [(0, 2, 6, 1.0, 1e-4), (0, 12, 6, 1.0, 1e-7)], [(0, 6, 8, -1.0, 1e-6), (0, 16, 8, -1.0, 1e-5)]
    assert [row[1] for row in left(*chain)] == [2, 12]


def test_nothing():
    assert left() == left([], []) == []


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
def test_it_is_taking_one_after_the_other(positive, negative):
    wanted, taken = [], set()
    for row in sorted(positive + negative, key=lambda row: (row[4], -abs(row[3]), row[:2], row[3] < 0)):
        places = {(row[0], at) for at in range(row[1], row[1] + row[2])}
        if taken.isdisjoint(places):
            taken |= places
            wanted.append(row)
    assert left(positive, negative) == sorted(wanted)
