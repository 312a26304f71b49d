"""Penalties against what their definitions say, in plain NumPy, and with derivatives for any attributions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.lit.penalties import Distance, Fourier, Sparsity, Window

PENALTIES = [Fourier(), Fourier(0.1, 0.5, 0), Sparsity(), Sparsity("gini"), Window(2, 5), Distance(torch.zeros_like)]


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda one: type(one).__name__)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(5, 40), st.sampled_from([0.0, 1e-20, 1.0]))
def test_there_is_a_finite_cost_for_each_row_and_it_can_be_differentiated(penalty, seed, length, scale):
    torch.manual_seed(seed)
    attributions = (scale * torch.randn(3, 4, length)).requires_grad_()
    costs = penalty(attributions, torch.zeros(3, 4, length))
    assert costs.shape == (3,)
    assert (costs >= 0).all()
    if not isinstance(penalty, Distance) and penalty != Sparsity():
        assert (costs <= 1 + 1e-5).all()
    (gradient,) = torch.autograd.grad(costs.sum(), attributions)
    assert gradient.isfinite().all()


def test_the_fourier_prior_is_that_of_its_definition():
    torch.manual_seed(0)
    attributions = torch.randn(2, 4, 20, dtype=torch.float64)
    found = Fourier(limit=0.2, softness=0.3, smoothing=0)(attributions, attributions)
    for row, cost in zip(attributions.numpy(), found.tolist(), strict=True):
        sizes = np.abs(np.fft.rfft(np.abs(row.sum(0))))[1:]
        shares = sizes / sizes.sum()
        weights = [1 if k <= 4 else 1 / (1 + (k - 4) ** 0.3) for k in range(1, 11)]
        assert cost == pytest.approx(1 - np.dot(shares, weights))


def test_the_gini_coefficient_is_that_of_its_definition():
    torch.manual_seed(0)
    attributions = torch.randn(1, 4, 9, dtype=torch.float64)
    sizes = attributions.sum(1).abs()[0].numpy()
    gini = np.abs(sizes[:, None] - sizes[None]).sum() / (2 * len(sizes) * sizes.sum())
    assert float(Sparsity("gini")(attributions, attributions)) == pytest.approx(1 - gini)
