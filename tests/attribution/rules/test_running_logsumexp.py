"""logcumsumexp: complete without integration, and for each place the multipliers of logsumexp."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import seqlight as sl
from seqlight.attribution.rules.running_logsumexp import running_logsumexp_vjp

NUMBERS = st.one_of(st.floats(-30, 30, width=32), st.sampled_from([0.0, -200.0, 200.0, -torch.inf]))


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(-2, 2, width=32)), min_size=1, max_size=6))
def test_the_gradient_explains_the_difference(rows):
    x1, x0, g = torch.tensor(rows, dtype=torch.float64).T
    x0 = torch.where(x1.isinf() | x0.isinf(), x1, x0)  # a mask is the same for both
    found = running_logsumexp_vjp(g, x1, x0)
    assert found.isfinite().all()
    wanted = [g * (a - b) for g, a, b in zip(g, x1.logcumsumexp(0), x0.logcumsumexp(0), strict=True) if a > -torch.inf]
    parts = torch.where(x1 == x0, 0, found * (x1 - x0))
    torch.testing.assert_close(parts.sum(), sum(wanted, torch.tensor(0.0).double()), rtol=1e-9, atol=1e-9)


def test_each_place_has_the_multipliers_of_its_logsumexp(Around):
    settings = {"n_shuffles": 3, "random_state": 0, "raw_outputs": True, "device": "cpu", "dtype": "float64"}
    X = sl.random_one_hot((2, 4, 20), random_state=0)

    def one_by_one(h):
        return torch.stack([(4 * h[..., : 1 + i]).logsumexp(-1) for i in range(h.shape[-1])], -1)

    found, wanted = (
        sl.deep_lift_shap(Around(one), X, **settings) for one in (lambda h: (4 * h).logcumsumexp(2), one_by_one)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def scan(h):
    """Return ``y[i] = a[i] * y[i - 1] + b[i]`` by logarithms, which grow by more than a float64 may hold."""
    a, b = 40 * F.logsigmoid(-h - 1).cumsum(-1), F.softplus(h.flip(1)).log()
    return (a + (b - a).logcumsumexp(-1)).exp()


@pytest.mark.reliability(
    "operations",
    "logcumsumexp over any dimension, also in a scan by logarithms whose exponentials would overflow",
    "complete to rounding, and nothing is integrated",
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "function",
    [scan, lambda h: h.logcumsumexp(1), lambda h: torch.logcumsumexp(dim=-1, input=h), lambda h: h.mT.logcumsumexp(-2)],
)
def test_scans_by_logarithms_are_complete(function, dtype, Around, incompleteness):
    with warnings.catch_warnings():
        warnings.simplefilter("error", sl.IntegratedWarning)
        assert incompleteness(Around(function), dtype=dtype) < (1e-9 if dtype == "float64" else 1e-4)
