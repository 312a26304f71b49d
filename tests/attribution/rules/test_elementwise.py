"""The rule for elementwise operations against its definition, written slowly and literally."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.calls.recording import Call
from seqlight.attribution.rules.elementwise import Rescale, _value_and_slope, secant, threshold

pytestmark = pytest.mark.usefixtures("with_and_without_loops")


def slow_secant(function, x1, x0):
    found = torch.empty_like(x0)
    for at in itertools.product(*map(range, x0.shape)):
        a, b = x1[at], x0[at]
        if abs(a - b) < threshold(x0.dtype):
            leaf = a.clone().requires_grad_()
            (found[at],) = torch.autograd.grad(function(leaf), leaf)
        else:
            found[at] = (function(a) - function(b)) / (a - b)
    return found


@pytest.mark.parametrize("function", [torch.relu, torch.tanh, torch.sigmoid, torch.exp, F.gelu, F.elu, torch.abs])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("known_slope", [True, False])
def test_rescale_is_the_secant(function, dtype, known_slope, multiplied):
    from seqlight.attribution.rules.vocabulary import SLOPES

    torch.manual_seed(0)
    x1, x0 = torch.randn(3, 5, dtype=dtype), torch.randn(3, 5, dtype=dtype)
    x0[0] = x1[0]
    x0[1, 0] = x1[1, 0] + threshold(dtype) / 3
    grad = torch.randn(3, 5, dtype=dtype)
    rule = Rescale(SLOPES.get(function.__name__) if known_slope else None)
    y, found = multiplied(rule, function, x1, x0, grad)
    torch.testing.assert_close(y, function(x0))
    torch.testing.assert_close(found, grad * slow_secant(function, x1, x0))


def test_rescale_of_several_references_of_several_sequences(multiplied):
    torch.manual_seed(0)
    x1, x0, grad = (torch.randn(n, 5, dtype=torch.float64) for n in (2, 6, 6))
    _, found = multiplied(Rescale(), torch.tanh, x1, x0, grad)
    for row in range(6):  # row r * 2 + i is reference r of sequence i
        torch.testing.assert_close(found[row], grad[row] * slow_secant(torch.tanh, x1[row % 2], x0[row]))


def test_the_tangent_is_that_at_the_input():
    x = torch.tensor([0.5], dtype=torch.float64)
    found = secant(x, x.exp(), x.exp(), x.clone(), x.exp())
    torch.testing.assert_close(found, x.exp())
    nearly = secant(x, x.exp(), torch.tensor([7.0], dtype=torch.float64), x + 5e-11, x.exp())
    assert nearly.item() == 7.0
    assert secant(x, x.exp(), x, x + 2e-10, (x + 2e-10).exp()).item() == pytest.approx(float(x.exp()), rel=1e-5)


def test_equal_infinities_differ_by_nothing():
    one = torch.tensor([1.0, 2.0])
    masked = torch.tensor([-torch.inf, -torch.inf])
    assert secant(one, masked, torch.zeros(2), one + 1, masked, infinite=True).tolist() == [0, 0]
    assert secant(masked, one * 0, one * 0, masked, one * 0).tolist() == [0, 0]


@pytest.mark.parametrize("function", [torch.frac, torch.tanh, torch.exp])
def test_slopes_are_laid_out_as_the_loops_take_them(function):
    x = torch.linspace(-1.7, 1.9, 12).view(3, 4).requires_grad_()
    y, slope = _value_and_slope(Call.of("one", function, (x,), {}), x)
    assert y.is_contiguous()
    assert slope.is_contiguous()
    (expected,) = torch.autograd.grad(function(x), x, torch.ones(3, 4))
    assert torch.equal(slope, expected)
