"""The size of a difference does not depend on units, on the order of rows, or on which of the two arrays is new."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from seqlight.studies.comparison.contribution_difference import contribution_difference

numbers = st.floats(-1e3, 1e3, allow_subnormal=False)
pairs = array_shapes(min_dims=2, max_dims=3, max_side=4).flatmap(
    lambda shape: st.tuples(arrays(np.float64, shape, elements=numbers), arrays(np.float64, shape, elements=numbers))
)


@given(pairs)
def test_it_is_symmetric_has_no_units_and_names_its_place(pair):
    old, new = pair
    found = contribution_difference(old, new)
    assert 0 <= found.size <= 2
    assert (found.size == 0) == np.array_equal(old, new)
    assert contribution_difference(new, old).size == found.size
    assert contribution_difference(8 * old, 8 * new).size == found.size
    assert contribution_difference(old[::-1], new[::-1]).size == found.size
    assert (old[found.place], new[found.place]) == (found.old, found.new)


@given(pairs)
def test_it_is_at_most_relative_to_the_largest_of_its_row(pair):
    old, new = pair
    found = contribution_difference(old, new)
    if found.size:
        row = found.place[0]
        assert found.size <= abs(old - new)[row].max() / max(abs(old)[row].max(), abs(new)[row].max()) * (1 + 1e-12)


@pytest.mark.reliability(
    "Comparing studies", "one sequence with giant contributions, a change in another one", "the change is seen"
)
def test_a_giant_row_hides_nothing():
    old = np.ones((5, 6))
    old[0] = 1e6
    new = old.copy()
    new[3, 2] = 1.1
    found = contribution_difference(old, new)
    assert found.place == (3, 2)
    assert found.size == pytest.approx(0.1 / 1.1)


def test_rounding_in_a_row_where_nothing_contributes_is_no_change():
    old = np.ones((5, 6))
    old[0] = 1e-9
    new = old.copy()
    new[0] = -1e-9
    assert contribution_difference(old, new).size == pytest.approx(2e-9)


@pytest.mark.reliability("Comparing studies", "NaN or infinity in one of two studies, or in both", "a change; none")
def test_what_is_not_finite_is_equal_only_to_itself():
    one = np.array([[np.nan, np.inf, 1.0]])
    assert contribution_difference(one, one.copy()).size == 0
    assert contribution_difference(one, np.array([[np.nan, -np.inf, 1.0]])).size == np.inf
    assert contribution_difference(one, np.array([[0.0, np.inf, 1.0]])).size == np.inf
    assert contribution_difference(np.array([[np.nan]]), np.array([[0.0]])).size == np.inf


def test_nothing_at_all_does_not_differ():
    assert contribution_difference(np.zeros((0, 5)), np.zeros((0, 5))).size == 0
    assert contribution_difference(np.zeros((2, 5)), np.zeros((2, 5))).size == 0
