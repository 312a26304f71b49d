"""The multiplier of layer norm as a single node: equal to its formula, with first and second derivatives."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.attribution.rules import layer_norm_multiplier
from seqlight.attribution.rules.layer_norm_multiplier import LayerNormMultiplierFunction, kept_moments


def operands(seed, *shape):
    torch.manual_seed(seed)
    weight, *of = torch.randn(4, *shape, dtype=torch.float64)
    return [one.requires_grad_() for one in (weight.flatten(0, -2)[0].clone(), *of)]


@pytest.mark.parametrize("weighted", [True, False])
def test_derivatives_are_those_of_finite_differences(weighted):
    weight, *of = operands(0, 2, 3, 4)
    closed = partial(LayerNormMultiplierFunction.apply, 1e-5, (None, None))
    function, of = (closed, (weight, *of)) if weighted else (partial(closed, None), of)
    assert torch.autograd.gradcheck(function, of)
    assert torch.autograd.gradgradcheck(function, of)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.booleans(), st.sampled_from([0.0, 1e-6, 1.0]), st.sampled_from([1e-5, 0.1]))
def test_values_and_derivatives_are_those_of_the_formula(seed, weighted, step, eps):
    weight, grad, x1, x0 = operands(seed, 5, 7)
    with torch.no_grad():
        x0.copy_(x1 + step * x0)
        x1[0] = 2  # a row without a variance
    weight, needed = (weight, (weight, grad, x1, x0)) if weighted else (None, (grad, x1, x0))
    found = LayerNormMultiplierFunction.apply(eps, (None, None), weight, grad, x1, x0)
    expected = layer_norm_multiplier._formula(eps, weight, grad, x1, x0)
    torch.testing.assert_close(found, expected)
    of = [torch.autograd.grad(one.sin().sum(), needed) for one in (found, expected)]
    torch.testing.assert_close(*of, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("weighted", [True, False])
def test_moments_that_a_layer_norm_kept_are_not_computed_again(weighted):
    weight, grad, x1, x0 = operands(0, 3, 5, 7)
    weight = weight if weighted else None
    ys = [torch.nn.functional.layer_norm(x, (7,), weight, None, 1e-3) for x in (x1, x0)]
    known = tuple(map(kept_moments, ys))
    for x, of in zip((x1, x0), known, strict=True):
        torch.testing.assert_close(of, tuple(one.detach() for one in layer_norm_multiplier.moments(x, 1e-3)))
    found, expected = (
        LayerNormMultiplierFunction.apply(1e-3, of, weight, grad, x1, x0) for of in (known, (None, None))
    )
    torch.testing.assert_close(found, expected)
    needed = [one for one in (weight, grad, x1, x0) if one is not None]
    torch.testing.assert_close(*(torch.autograd.grad(one.sin().sum(), needed) for one in (found, expected)))


def test_what_is_no_layer_norm_has_kept_none():
    x = torch.ones(2, 3, requires_grad=True)
    assert kept_moments(x) is None
    assert kept_moments(x.exp()) is None
    assert kept_moments(torch.nn.functional.layer_norm(x.detach(), (3,))) is None
