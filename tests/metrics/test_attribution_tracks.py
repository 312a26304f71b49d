import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import seqlight as sl
from seqlight.metrics.attribution_tracks import correlations, cosines, positions_of, require_pair, scaled

rows = st.lists(st.lists(st.integers(-5, 5), min_size=4, max_size=4), min_size=1, max_size=4)


@given(rows, rows, st.sampled_from([1e-300, 1e-12, 1.0, 1e300]))
def test_against_scipy(a, b, scale):
    n = min(len(a), len(b))
    x, y = (torch.tensor(one[:n], dtype=torch.float64) for one in (a, b))
    for i, (mine, yours) in enumerate(zip(x.numpy(), y.numpy(), strict=True)):
        sizes = np.linalg.norm(mine) * np.linalg.norm(yours)
        assert float(cosines(scale * x, y)[i]) == pytest.approx(mine @ yours / sizes if sizes else 0)
        flat = np.ptp(mine) == 0 or np.ptp(yours) == 0
        expected = 0 if flat else stats.pearsonr(mine, yours).statistic
        assert float(correlations(scale * x, y)[i]) == pytest.approx(expected, abs=1e-12)


def test_a_constant_correlates_with_nothing_however_its_mean_rounds():
    constant = torch.full((1, 7), 0.1, dtype=torch.float64)
    assert float(correlations(constant, torch.randn(1, 7, dtype=torch.float64))) == 0
    assert float(correlations(constant, constant)) == 0


def test_what_is_not_finite_is_nan():
    good = torch.tensor([[1.0, 2.0, 4.0]])
    for bad in (math.nan, math.inf, -math.inf):
        broken = torch.tensor([[1.0, bad, 2.0]])
        assert cosines(good, broken).isnan().all()
        assert correlations(broken, good).isnan().all()
    assert scaled(torch.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_positions_are_sums_over_letters_in_float64():
    X = torch.full((2, 4, 3), 2.0**-10, dtype=torch.bfloat16)
    X[:, 0] = 1
    assert positions_of(X).tolist() == [[1 + 3 * 2.0**-10] * 3] * 2  # bfloat16 would have 1
    assert torch.equal(positions_of(X[:, 0]), X[:, 0].double())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((1, 4, 5)), "attributions is a numpy.ndarray"),
        (torch.zeros(5), r"attributions has shape \(5,\)"),
        (torch.zeros(1, 4, 0), "none of them 0"),
        (torch.zeros(1, 4, 5, dtype=torch.complex64), "complex64"),
    ],
)
def test_bad_attributions(bad, message):
    with pytest.raises(sl.InputError, match=message):
        positions_of(bad)
    with pytest.raises(sl.InputError, match=r"others has shape|others is (a|of) |attributions has shape|others holds"):
        require_pair(torch.zeros(1, 4, 5), bad)
