"""The multiplier of softmax as a single node: equal to its formula, with first and second derivatives."""

import contextlib
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multipliers import plain_rules
from seqlight.attribution.rules.softmax_multiplier import SoftmaxMultiplierFunction, softmax_formula


def closed(dim, grad, x1, x0):
    return SoftmaxMultiplierFunction.apply(dim, grad, x1, x0, x1.detach().softmax(dim), x0.detach().softmax(dim))


def operands(seed, *shape, dtype=torch.float64):
    torch.manual_seed(seed)
    return [torch.randn(*shape, dtype=dtype, requires_grad=True) for _ in range(3)]


@pytest.mark.parametrize("kernels", [contextlib.nullcontext, plain_rules])
@pytest.mark.parametrize("dim", [0, 1])
def test_derivatives_are_those_of_finite_differences(dim, kernels):
    of = operands(0, 3, 4)
    with kernels():
        assert torch.autograd.gradcheck(partial(closed, dim), of)
        assert torch.autograd.gradgradcheck(partial(closed, dim), of)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1e-3, 0.1, 1.0, 5.0]), st.booleans(), st.booleans())
def test_values_and_derivatives_are_those_of_the_formula(seed, size, masked, plain):
    grad, x1, x0 = operands(seed, 4, 6)
    with torch.no_grad():
        x0.copy_(x1 + size * x0)
        x0[0] = x1[0]  # a row that does not change
        x0[1, :2], x0[2] = x1[1, :2], x1[2] + 3  # entries that do not, and a row of one step
        if masked:
            x1[:, 4], x0[:, 4], x0[:, 5] = -torch.inf, -torch.inf, -torch.inf
    with plain_rules() if plain else contextlib.nullcontext():
        found, expected = (one(1, grad, x1, x0) for one in (closed, softmax_formula))
        torch.testing.assert_close(found, expected)
        of = [torch.autograd.grad((one * grad.detach().flip(1)).sum(), (grad, x1, x0)) for one in (found, expected)]
    kept = torch.tensor([True] * 4 + [not masked] * 2)  # nothing can be said of the derivative at a masked entry
    for one, other in zip(*of, strict=True):
        torch.testing.assert_close(one[:, kept], other[:, kept], rtol=1e-5, atol=1e-7 / size)  # small steps cost digits


@pytest.mark.parametrize("kernels", [contextlib.nullcontext, plain_rules])
@pytest.mark.parametrize("width", [30, 75])
def test_derivatives_in_float32_are_as_near_to_those_in_float64_as_the_formula_is(width, kernels):
    of = operands(0, 100, width)

    def derivatives(function, them):
        y = function(1, *them)
        return torch.cat([one.double() for one in torch.autograd.grad(y.square().sum(), them)])

    true, single = derivatives(softmax_formula, of), [x.detach().float().requires_grad_() for x in of]
    with kernels():
        error, other = ((derivatives(one, single) - true).abs() for one in (closed, softmax_formula))
    assert error.max() <= 1.5 * other.max()
    assert error.mean() <= 1.5 * other.mean() < 1e-5
