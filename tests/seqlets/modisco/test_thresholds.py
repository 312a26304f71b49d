import math

import numpy as np
import pytest

from seqlight.errors import InputError
from seqlight.seqlets.modisco.thresholds import NOTHING_PASSES, choose_thresholds, limit_passing_share, side_threshold


def sums(n=5000):
    rng = np.random.RandomState(0)
    return np.concatenate([rng.laplace(size=n), rng.normal(5, 1, size=n // 10), rng.normal(-15, 1, size=n // 50)])


@pytest.mark.parametrize("sign", [1, -1])
def test_thresholds_tighten_with_the_rate(sign):
    values, draws = np.sort(np.abs(sums())), np.sort(np.random.RandomState(1).exponential(size=5000))
    found = [side_threshold(*(np.sort(sign * x) for x in (values, draws)), rate, sign) for rate in (0.5, 0.2, 0.05)]
    assert sorted(found, key=abs) == found
    assert all(x * sign in values for x in found)
    assert found[0] != found[-1]


def test_both_signs_are_treated_the_same_way():
    values, draws = np.sort(np.abs(sums())), np.sort(np.random.RandomState(1).exponential(size=5000))
    assert side_threshold(values, draws, 0.1, 1) == -side_threshold(-values[::-1], -draws[::-1], 0.1, -1)


@pytest.mark.parametrize("sign", [1, -1])
def test_no_values_or_no_draws(sign):
    assert side_threshold(np.empty(0), np.array([1.0]), 0.2, sign) == sign * math.inf
    values = np.sort(sign * np.array([2.0, 3.0]))
    assert side_threshold(values, np.empty(0), 0.2, sign) == sign * 2.0


def test_the_largest_always_passes():
    assert side_threshold(np.array([1.0, 2.0]), np.array([5.0, 6.0]), 0.2, 1) == 2.0


def test_share_that_passes_stays_within_its_limits():
    values = sums()
    for limits in ((0.2, 0.3), (0.001, 0.01)):
        positive, negative = limit_passing_share(values, 8.0, -8.0, limits)
        assert positive == -negative
        passing = ((values >= positive) | (values <= negative)).mean()
        assert limits[0] - 1e-3 <= passing <= limits[1] + 1e-3
    assert limit_passing_share(values, 8.0, -8.0, (0.0, 1.0)) == (8.0, -8.0)


def test_sign_threshold_lies_below_the_laxer_one():
    values = sums()
    found = choose_thresholds(values, 0.2, (0.0, 1.0), 1.0)
    assert found.positive > 0 > found.negative
    assert 0 < found.sign < min(found.positive, -found.negative)
    weaker = choose_thresholds(values, 0.2, (0.0, 1.0), 0.5)
    assert weaker.sign == np.sort(np.abs(values))[len(values) // 2]
    assert weaker[:2] == found[:2]


def test_equal_sums_pass_nothing_and_infinite_ones_are_refused():
    assert choose_thresholds(np.full(5, 2.0), 0.2, (0.03, 0.2), 0.8) == NOTHING_PASSES
    for overflowing in (np.array([0.0, np.inf]), np.array([0.0, np.nan]), np.array([-1.7e308, 1.7e308])):
        with pytest.raises(InputError, match="divide them"):
            choose_thresholds(overflowing, 0.2, (0.03, 0.2), 0.8)
