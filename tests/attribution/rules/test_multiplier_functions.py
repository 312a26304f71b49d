"""Multipliers as single nodes: equal to the formulas they stand for, with first and second derivatives."""

import contextlib
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from multipliers import plain_rules
from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules import multiplier_functions as functions
from seqlight.attribution.rules.pullbacks import slope

# In the order of a function's operands; steps of 0 and tiny ones among them.
STEPS = torch.tensor([0.0, 1e-5, -0.3, 0.7, 1.9, -2.2], dtype=torch.float64)


def leaves(n, *shape):
    torch.manual_seed(0)
    return [torch.randn(*shape, dtype=torch.float64).requires_grad_() for _ in range(n)]


def gelu(grad, x1, x0, near=1e-3):
    call = Call.from_arguments("gelu", F.gelu, (x0,), {})
    call.dependent = (0,)
    at = partial(slope, call)
    return functions.SmoothFunction.apply(call, at, near, grad, x1, x0, F.gelu(x1).detach(), F.gelu(x0).detach())


def maximum(grad, x1, x0, y1, y0):
    return functions.MaximumFunction.apply(torch.tensor([[0, 3, 3], [1, 4, 0]]), None, grad, x1, x0, y1, y0)


@pytest.mark.parametrize("function", [functions.ReluFunction.apply, gelu], ids=["relu", "gelu"])
def test_derivatives_of_a_secant_are_those_of_finite_differences(function):
    grad, x1 = leaves(2, 6)
    x0 = (x1.detach() - STEPS).requires_grad_()
    # At a step of 0 the multiplier of relu jumps for whoever moves only one input.
    some = slice(None) if function is gelu else slice(1, None)

    def multiplied(grad, x1, x0):
        return function(grad, x1, x0)[some]

    assert torch.autograd.gradcheck(multiplied, (grad, x1, x0), eps=1e-7)
    assert torch.autograd.gradgradcheck(multiplied, (grad, x1, x0), eps=1e-7, rtol=1e-2)


@pytest.mark.parametrize("kernels", [contextlib.nullcontext, plain_rules])
def test_derivatives_of_a_credit_are_those_of_finite_differences(kernels):
    operands = *leaves(1, 2, 3), *leaves(2, 2, 5), *leaves(2, 2, 3)
    with torch.no_grad():
        operands[1].neg_()
        operands[4].neg_()
    with kernels():
        assert torch.autograd.gradcheck(maximum, operands)
        assert torch.autograd.gradgradcheck(maximum, operands)


def test_derivatives_of_products_of_matrices_are_those_of_finite_differences():
    shapes = (2, 3, 4), (2, 3, 5), (2, 5, 4), (2, 3, 5), (2, 5, 4)
    torch.manual_seed(0)
    operands = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(functions.MatrixProductFunction.apply, operands)
    assert torch.autograd.gradgradcheck(functions.MatrixProductFunction.apply, operands)


NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 1e-20, 3e-7, -2.5, 1e30])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=9), st.sampled_from([torch.float32, torch.float64]))
def test_the_closed_derivatives_are_those_of_the_formulas(pairs, dtype):
    x1, x0 = (torch.tensor(one, dtype=dtype).requires_grad_() for one in zip(*pairs, strict=True))
    grad = torch.linspace(-1, 1, len(pairs), dtype=dtype).requires_grad_()
    for closed, formula in (
        (functions.ReluFunction.apply, functions._relu_formula),
        (
            lambda *of: functions.MaximumFunction.apply(torch.arange(len(pairs)), None, *of, *of[1:]),
            lambda *of: functions._maximum_formula(torch.arange(len(pairs)), *of, *of[1:]),
        ),
    ):
        found, expected = closed(grad, x1, x0), formula(grad, x1, x0)
        torch.testing.assert_close(found, expected)
        of = [torch.autograd.grad(one.sum(), (grad, x1, x0)) for one in (found, expected)]
        for one, other in zip(*of, strict=True):
            assert one.isfinite().all()
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_smooth_derivatives_are_those_of_the_formula_in_float32():
    grad, x1 = (one.float().detach().requires_grad_() for one in leaves(2, 500))
    x0 = (x1.detach() + 0.3 * torch.randn(500)).requires_grad_()
    with torch.no_grad():
        x0[:5] = x1[:5]
        x0[5], x1[6] = -torch.inf, -torch.inf
    at = partial(slope, Call("gelu", F.gelu, [x0], Call.from_arguments("gelu", F.gelu, (x0,), {}).structure, (0,)))
    found, expected = gelu(grad, x1, x0, 2e-2), functions.smooth_formula(F.gelu, at, 2e-2, grad, x1, x0)
    kept = torch.arange(500) > 6
    torch.testing.assert_close(found, expected)
    of = [torch.autograd.grad(one[kept].sum(), (grad, x1, x0)) for one in (found, expected)]
    for one, other in zip(*of, strict=True):
        torch.testing.assert_close(one[kept], other[kept], rtol=1e-3, atol=1e-4)


def test_scores_that_infinity_masks_have_finite_derivatives():
    x1 = torch.tensor([-torch.inf, -torch.inf, 0.5, 1.0], requires_grad=True)
    x0 = torch.tensor([-torch.inf, 0.5, -torch.inf, 1.0], requires_grad=True)
    grad = torch.ones(4, requires_grad=True)
    for multiply in (
        lambda *of: functions.SmoothFunction.apply(
            torch.exp, torch.exp, 1e-2, *of, x1.detach().exp(), x0.detach().exp()
        ),
        lambda *of: functions.smooth_formula(torch.exp, torch.exp, 1e-2, *of),
    ):
        found = multiply(grad, x1, x0)
        torch.testing.assert_close(found, torch.tensor([0, 0, 0.5, 1.0]).exp() * torch.tensor([0, 0, 1, 1]))
        by_grad, by_1, by_0 = torch.autograd.grad(found.sum(), (grad, x1, x0))
        torch.testing.assert_close(by_grad, found)
        for one in (by_1, by_0):
            assert one.isfinite().all()
            torch.testing.assert_close(one[[0, 3]], torch.tensor([0, 0.5 * torch.e]))


def test_a_formula_has_partial_derivatives_where_operands_depend_on_each_other():
    x = torch.tensor([0.5, 2.0], requires_grad=True)
    grad = x.square()
    by_grad, by_x = functions.differentiate_formula(lambda g, x: g * x.exp(), (grad, x), torch.ones(2), (True, True))
    torch.testing.assert_close(by_grad, x.exp())
    torch.testing.assert_close(by_x, grad * x.exp())
    (further,) = torch.autograd.grad(by_x.sum(), x)  # it is a function of both
    torch.testing.assert_close(further, (2 * x + grad) * x.exp())
