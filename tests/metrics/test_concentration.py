import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import seqlight as sl
from seqlight.metrics import attribution_entropy, attribution_gini, effective_positions

ALL = (attribution_entropy, effective_positions, attribution_gini)
tracks = st.lists(st.lists(st.integers(-4, 4), min_size=6, max_size=6), min_size=1, max_size=4)


def gini(values):
    """Return half the mean difference of two draws, over the mean: the definition."""
    n, total = len(values), sum(values)
    return sum(abs(a - b) for a in values for b in values) / (2 * n * total)


@given(tracks, st.sampled_from([1e-310, 1e-30, 1.0, 1e300]))
def test_against_definitions(track, scale):
    each = {function: [] for function in ALL}
    for row in track:
        sizes = [abs(value) for value in row]
        if sum(sizes):
            each[attribution_entropy].append(stats.entropy(sizes))
            each[effective_positions].append(math.exp(stats.entropy(sizes)))
            each[attribution_gini].append(gini(sizes))
    values = scale * torch.tensor(track, dtype=torch.float64)
    # The same, with letters.
    letters = torch.zeros(len(track), 4, 6, dtype=torch.float64)
    letters[:, 2] = values
    for function, expected in each.items():
        for X in (values, letters):
            found = function(X)
            assert found.isnan() if not expected else float(found) == pytest.approx(sum(expected) / len(expected))
            one_each = function(X, "none")
            assert one_each[~one_each.isnan()].tolist() == pytest.approx(expected)


def test_edges():
    one, equal = torch.eye(8)[:1], torch.ones(1, 8)
    for function, least, most in zip(ALL, (0, 1, 0), (math.log(8), 8, 1 - 1 / 8), strict=True):
        ends = (most, least) if function is attribution_gini else (least, most)
        assert (float(function(one)), float(function(-equal))) == pytest.approx(ends)
        both = torch.cat([one, torch.zeros(1, 8)])
        assert float(function(both)) == float(function(one))  # a sequence without attribution has none
        assert function(torch.zeros(2, 8)).isnan()
        for bad in (math.nan, math.inf):
            broken = torch.cat([one, torch.full((1, 8), bad)])
            assert function(broken).isnan()
            assert function(broken, "none").isnan().tolist() == [False, True]
        with pytest.raises(sl.InputError, match="none of them 0"):
            function(torch.zeros(0, 8))
        with pytest.raises(sl.InputError, match="reduction is 'median'"):
            function(one, "median")


def test_halves_are_summed_in_float64():
    big = torch.full((1, 4000), 60000.0, dtype=torch.float16)  # the sum is beyond float16
    assert float(effective_positions(big)) == pytest.approx(4000)
