"""Pullbacks in plain formulas: equal to the rules beside them, with derivatives even where nothing changes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules import pullbacks
from seqlight.attribution.rules.elementwise import Rescale, secant
from seqlight.attribution.rules.pullbacks import Observed
from seqlight.attribution.rules.table import ELEMENTWISE

FUNCTIONS = {"relu": torch.relu, "gelu": torch.nn.functional.gelu, "tanh": torch.tanh, "abs": torch.abs}


def observed(name, function, *operands):
    call = Call(name, function, list(operands), Call.from_arguments(name, function, operands, {}).structure, ())
    call.dependent = tuple(range(len(operands)))
    return Observed(call, operands, (function(*operands),))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4),
    st.sampled_from([0.0, 1e-12, 1e-7, 1e-4, 0.5]),
)
def test_an_elementwise_multiplier_is_the_secant_or_the_tangent(name, numbers, step):
    function, rule = FUNCTIONS[name], ELEMENTWISE[name]
    x1 = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    x0 = (x1.detach() + step * torch.tensor([1.0, -1.0, 2.0, 1.0])).requires_grad_()
    found = pullbacks.rescale(
        rule, observed(name, function, x1), observed(name, function, x0), [torch.ones(4).double()]
    )[0]
    (slope,) = torch.autograd.grad(function(x1).sum(), x1)
    with torch.no_grad():
        expected = secant(x1, function(x1), slope, x0, function(x0), rounding=rule.rounding)
        error = found * (x1 - x0) - (function(x1) - function(x0))
    # Near a step of no length both are slopes, of which the derivative is at most 2 here.
    assert (found.detach() - expected).abs().max() <= 1e-7 + (4 * step if step < 1e-10 else 0)
    assert error.abs().max() < 1e-12
    assert all(
        one is None or one.isfinite().all() for one in torch.autograd.grad(found.sum(), (x1, x0), allow_unused=True)
    )


@pytest.mark.parametrize("step", [0.0, 1e-9, 3e-4, 2e-3, 0.7])
def test_the_derivative_of_a_smooth_multiplier_is_right_at_any_step(step):
    """The oracle: the mean slope at many points between, which has no quotient."""
    x1 = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    x0 = (x1.detach() + step).requires_grad_()
    ones = [torch.ones(9).double()]
    found = pullbacks.rescale(Rescale(), observed("tanh", torch.tanh, x1), observed("tanh", torch.tanh, x0), ones)[0]
    at, weights = map(torch.tensor, np.polynomial.legendre.leggauss(20))
    points = x0 + (at[:, None] + 1) / 2 * (x1 - x0)
    oracle = (weights[:, None] / 2 * (1 - torch.tanh(points) ** 2)).sum(0)
    for one, other in zip(
        torch.autograd.grad(found.sum(), (x1, x0)), torch.autograd.grad(oracle.sum(), (x1, x0)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_products_and_quotients_add_up_and_can_be_differentiated():
    torch.manual_seed(0)
    a1, b1, a0, b0 = (torch.rand(5, dtype=torch.float64).add_(0.5).requires_grad_() for _ in range(4))

    def explained(pullback, function):
        def difference(a1: Tensor, b1: Tensor, a0: Tensor, b0: Tensor) -> Tensor:
            by_a, by_b = pullback(
                observed("f", function, a1, b1), observed("f", function, a0, b0), [torch.ones_like(a0)]
            )
            return torch.cat([by_a, by_b, by_a * (a1 - a0) + by_b * (b1 - b0) - function(a1, b1) + function(a0, b0)])

        assert difference(a1, b1, a0, b0)[10:].abs().max() < 1e-12
        assert torch.autograd.gradcheck(difference, (a1, b1, a0, b0))

    explained(pullbacks.product, torch.mul)
    explained(pullbacks.elementwise_product, torch.mul)
    explained(pullbacks.quotient, torch.div)


@pytest.mark.parametrize("shapes", [((4, 3), (4, 3)), ((4, 3), (3,)), ((1, 3), (4, 1))])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_elementwise_products_are_those_of_any_product_and_so_are_their_derivatives(shapes, dtype):
    torch.manual_seed(0)
    of = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in (*shapes, *shapes)]
    sequence, reference = observed("mul", torch.mul, *of[:2]), observed("mul", torch.mul, *of[2:])
    grad = torch.randn(4, 3, dtype=dtype, requires_grad=True)
    found, expected = (
        pullback(sequence, reference, [grad]) for pullback in (pullbacks.elementwise_product, pullbacks.product)
    )
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(sum(y.cos().sum().abs() for y in one), (grad, *of)) for one in (found, expected)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize(
    "shapes", [((4, 3), (3, 5)), ((2, 4, 3), (2, 3, 5)), ((2, 3, 4, 3), (2, 3, 3, 5)), ((2, 4, 3), (3, 5))]
)
def test_products_of_matrices_are_those_of_any_product_and_so_are_their_derivatives(shapes):
    torch.manual_seed(0)
    # Heads lie in memory as a transformer has them: as views.
    of = [torch.randn(shape, dtype=torch.float64).mT.contiguous().mT.requires_grad_() for shape in (*shapes, *shapes)]
    sequence, reference = observed("matmul", torch.matmul, *of[:2]), observed("matmul", torch.matmul, *of[2:])
    grad = torch.randn(reference.results[0].shape, dtype=torch.float64, requires_grad=True)
    found, expected = (
        pullback(sequence, reference, [grad]) for pullback in (pullbacks.matrix_product, pullbacks.product)
    )
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(sum(y.cos().sum() for y in one), (grad, *of)) for one in (found, expected)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("name", ["gelu", "silu", "sigmoid"])
def test_slopes_of_smooth_activations_by_a_kernel_give_the_derivatives_of_autograd(name):
    torch.manual_seed(0)
    of = [torch.randn(200).requires_grad_() for _ in range(3)]
    with torch.no_grad():
        of[1].copy_(of[0] + of[1].sign() * (0.3 + of[1].abs()))
    function = torch.sigmoid if name == "sigmoid" else getattr(torch.nn.functional, name)

    def derivatives(of):
        call = observed(name, function, of[0]), observed(name, function, of[1])
        return torch.autograd.grad(pullbacks.rescale(ELEMENTWISE[name], *call, [of[2]])[0].sum(), of)

    wide = derivatives([one.detach().double().requires_grad_() for one in of])
    for one, other in zip(derivatives(of), wide, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5)
