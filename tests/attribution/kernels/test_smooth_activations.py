"""Compiled activation functions are PyTorch's, but for rounding, and so are slopes and gradients."""

import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from multipliers import needs_wide_registers, plain_rules, reference_pairs
from seqlight.attribution.kernels import smooth_activations as kernels
from seqlight.attribution.kernels.smooth_activations import Activation
from seqlight.attribution.rules.elementwise import Rounding, rounding_error, secant, smallest_step

pytestmark = needs_wide_registers

FUNCTIONS = {
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: lambda x: F.gelu(x, approximate="tanh"),
    Activation.SILU: F.silu,
    Activation.SIGMOID: torch.sigmoid,
}


@pytest.mark.parametrize("kind", Activation)
def test_activation_functions(kind):
    """As near to the truth as those of PyTorch, or as rounding of a few units in the last place leaves them."""
    x = torch.cat([torch.linspace(-30, 30, 200_001), torch.logspace(-30, 30, 1_001), -torch.logspace(-30, 30, 1_001)])
    leaf = x.double().requires_grad_()
    wanted = FUNCTIONS[kind](leaf)
    (slope,) = torch.autograd.grad(wanted.sum(), leaf)
    found, sloped = kernels.activation(x, kind)
    of_theirs = (FUNCTIONS[kind](x) - wanted).abs().max()
    assert (found - wanted).abs().max() <= max(of_theirs, 6e-7)
    assert (sloped - slope).abs().max() < 3e-6
    assert torch.equal(kernels.activation(x, kind, sloped=False)[0], found)


@pytest.mark.parametrize("kind", Activation)
def test_activation_functions_of_values_that_are_not_finite(kind):
    x = torch.tensor([float("nan"), float("inf"), 0.0, -0.0, 3e38, -3e38])
    (found, slope), wanted = kernels.activation(x, kind), FUNCTIONS[kind](x.double()).float()
    torch.testing.assert_close(found, wanted, equal_nan=True)
    assert slope[1:].isfinite()[1:].all()
    assert kernels.activation(torch.tensor([-float("inf")]), kind)[0].nan_to_num(0) == 0


@given(reference_pairs(), st.sampled_from(list(Activation)), st.sampled_from([1.0, 10.0, 1e-3]))
def test_gradients(both, kind, size):
    x1, x0 = (size * one.float().contiguous() for one in both)
    recorded, grad = (x1, *kernels.activation(x1, kind)), torch.cos(x0).nan_to_num()
    rounding = Rounding.INPUT if "GELU" in kind.name else Rounding.OUTPUT
    near, allowed = smallest_step(torch.float32), rounding_error(torch.float32, rounding)
    found = kernels.activation_vjp(grad, recorded, x0, kind, near, allowed)
    y0 = kernels.activation(x0, kind, sloped=False)[0]
    plain = functools.partial(secant, rounding=rounding)
    with plain_rules():
        expected = grad * plain(*recorded, x0, y0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, equal_nan=True)
