import numpy as np
import pytest

from seqlight.seqlets.modisco.laplace_null import find_mode, laplace_null
from seqlight.seqlets.modisco.rank_statistics import rank


def test_mode_is_found_to_a_millionth_of_the_range():
    values = np.concatenate([np.linspace(-500, 500, 5001), np.full(300, 123.4567)])
    assert find_mode(rank(values)) == pytest.approx(123.4567, abs=1e-3)


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.0, 0.0, 0.0, 1e-9]),  # the fullest bin holds nothing between its edges
        np.array([-1e-9, 0.0, 0.0, 0.0, 0.0, 1e-9]),
        np.array([1.0, np.nextafter(1.0, 2.0)]),  # no room for a thousand bins
    ],
)
def test_mode_is_among_the_values(values):
    assert values.min() <= find_mode(rank(values)) <= values.max()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_draws_follow_the_values(scale):
    values = scale * np.random.RandomState(0).laplace(size=200_000)
    null = laplace_null(rank(values))
    assert len(null.positive) + len(null.negative) == 10_000
    assert (null.positive >= 0).all()
    assert (null.negative < 0).all()
    # The narrowest of 19 estimates of each rate: a little narrower than the values.
    assert np.median(null.positive) == pytest.approx(scale * np.log(2), rel=0.15)
    assert np.median(null.negative) == pytest.approx(-scale * np.log(2), rel=0.15)
    again = laplace_null(rank(values))
    np.testing.assert_array_equal(again.positive, null.positive)


def test_if_nearly_all_values_are_equal_so_are_all_draws():
    values = np.concatenate([np.zeros(10_000), [-1.0, 1.0]])
    null = laplace_null(rank(values))
    assert len(null.positive) + len(null.negative) == 10_000
    assert np.isfinite(null.positive).all()
