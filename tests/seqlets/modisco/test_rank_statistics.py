import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.native.library import library
from seqlight.seqlets.modisco import rank_statistics
from seqlight.seqlets.modisco.rank_statistics import buckets, rank

loops = pytest.mark.parametrize(
    "compiled", [pytest.param(True, marks=pytest.mark.skipif(library() is None, reason="no loops")), False]
)
numbers = st.lists(
    st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-3, 3)), min_size=1, max_size=60
)


@loops
@settings(max_examples=100)
@given(values=numbers, others=st.lists(st.floats(allow_nan=False), max_size=5))
def test_order_is_that_of_sorting(compiled, values, others):
    values = np.array(values, dtype=np.float64)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(rank_statistics, "library", lambda: None)
        for ranked, ordered in ((rank(values), np.sort(values)), (rank(values).magnitudes(), np.sort(np.abs(values)))):
            np.testing.assert_array_equal(ranked.at(np.arange(len(values))), ordered)
            limits = np.concatenate([others, values])
            np.testing.assert_array_equal(ranked.below(limits), np.searchsorted(ordered, limits))


@given(numbers)
def test_buckets_rise_with_the_numbers(values):
    ordered = np.sort(np.array(values, dtype=np.float64))
    assert (np.diff(buckets(ordered)) >= 0).all()


def test_the_shape_of_ranks_is_kept():
    ranked = rank(np.array([3.0, 1.0, 2.0]))
    assert ranked.at([[0, 1], [2, 0]]).tolist() == [[1.0, 2.0], [3.0, 1.0]]
    assert ranked.extremes == (1.0, 3.0)


@loops
def test_many_values_are_ranked_block_by_block(compiled, monkeypatch):
    monkeypatch.setattr(rank_statistics, "VALUES_A_BLOCK", 1000)
    if not compiled:
        monkeypatch.setattr(rank_statistics, "library", lambda: None)
    values = np.random.RandomState(0).laplace(size=300_007)
    ranks = np.arange(0, len(values), 977)
    np.testing.assert_array_equal(rank(values).at(ranks), np.sort(values)[ranks])
