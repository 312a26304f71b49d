"""The multiplier of a smooth activation function by the loops: that of its formula in float64, with its derivatives."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call
from seqlight.attribution.kernels.smooth_activations import Activation, Hyperbolic
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.activation_multiplier import ActivationMultiplierFunction
from seqlight.attribution.rules.multiplier_functions import smooth_formula
from seqlight.attribution.rules.pullbacks import slope

FUNCTIONS = {
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: partial(F.gelu, approximate="tanh"),
    Activation.SILU: F.silu,
    Activation.SIGMOID: torch.sigmoid,
    Hyperbolic.TANH: torch.tanh,
}
needs_loops = pytest.mark.skipif(
    kernel_for("smooth_activations.activation_multiplier", "cpu", torch.float32) is None, reason="no compiled loops"
)


def slope_of(function):
    call = Call.from_arguments("smooth", function, (torch.zeros(1),), {})
    call.dependent = (0,)
    return partial(slope, call)


def check(kind, grad, x1, x0):
    function, at = FUNCTIONS[kind], slope_of(FUNCTIONS[kind])
    of = [one.clone().requires_grad_() for one in (grad, x1, x0)]
    ys = [function(one).detach() for one in of[1:]]
    found = ActivationMultiplierFunction.apply(function, at, 2e-2, kind, *of, *ys)
    wide = [one.double().requires_grad_() for one in (grad, x1, x0)]
    expected = smooth_formula(function, at, 1e-3, *wide)
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-5)
    g = torch.linspace(-1, 2, len(grad))
    derivatives = torch.autograd.grad(found, of, g, retain_graph=True)
    expected = torch.autograd.grad(expected, wide, g.double())
    for one, other in zip(derivatives, expected, strict=True):  # of a step of 0.02 two thousandths are rounding
        torch.testing.assert_close(one, other.float(), rtol=1e-3, atol=2e-3)
    again = torch.autograd.grad(found, of, g, create_graph=True)
    torch.testing.assert_close(again, derivatives, rtol=1e-3, atol=2e-3)
    return again


@needs_loops
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_values_and_derivatives_are_those_of_the_formula(kind):
    torch.manual_seed(0)
    grad, x1 = torch.randn(2, 333)
    x1 *= 3
    steps = torch.cat([torch.zeros(7), torch.logspace(-7, 1, 300), torch.randn(26)])
    again = check(kind, grad, x1, x1 - steps)
    assert all(one.requires_grad for one in again)  # and have derivatives themselves


@needs_loops
@settings(max_examples=20)
@given(
    st.sampled_from([*FUNCTIONS]),
    st.lists(st.tuples(*[st.floats(-200, 200, width=32)] * 2), min_size=1, max_size=40),
    st.booleans(),
)
def test_any_numbers_have_the_values_of_the_formula(kind, pairs, near):
    x1, x0 = torch.tensor(pairs).T.contiguous()
    check(kind, torch.ones(len(pairs)), x1, x1 + x0 * 1e-4 if near else x0)


@needs_loops
def test_parts_of_wider_tensors_are_taken():
    torch.manual_seed(0)
    grad, x1, x0 = torch.randn(3, 4, 10).unbind()
    parts = [one[:, 3:7].requires_grad_() for one in (grad, x1, x0)]
    whole = [one[:, 3:7].clone().requires_grad_() for one in (grad, x1, x0)]
    found = []
    for of in (parts, whole):
        ys = [torch.tanh(one).detach() for one in of[1:]]
        y = ActivationMultiplierFunction.apply(torch.tanh, slope_of(torch.tanh), 2e-2, Hyperbolic.TANH, *of, *ys)
        found.append([y, *torch.autograd.grad(y.sin().sum(), of)])
    torch.testing.assert_close(*found)


@needs_loops
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_infinite_inputs_leave_the_others_alone(kind):
    x1 = torch.tensor([1.0, torch.inf, -torch.inf, 2.0, torch.nan, 3.0])
    x0 = torch.tensor([0.5, 1.0, -torch.inf, 2.0, 1.0, -torch.inf])
    of = [one.requires_grad_() for one in (torch.ones(6), x1, x0)]
    function, at = FUNCTIONS[kind], slope_of(FUNCTIONS[kind])
    ys = [function(one).detach() for one in (x1, x0)]
    found = ActivationMultiplierFunction.apply(function, at, 2e-2, kind, *of, *ys)
    for one in (found, *torch.autograd.grad(found.sum(), of)):
        assert one[[0, 3]].isfinite().all()
    assert found.isfinite().all()
