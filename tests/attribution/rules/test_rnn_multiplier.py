"""The multiplier of a layer of tanh or relu as a single node: equal to its steps, with first and second derivatives."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.attribution.rules.rnn_multiplier import RNNMultiplierFunction, rnn_formula


def operands(seed, directions, steps, rows, size, step=1.0):
    """Return weights, gradients, and what the activation function takes, `step` apart."""
    torch.manual_seed(seed)

    def draw(*shape):
        return torch.randn(directions, *shape, size, dtype=torch.float64)

    weights, grads, x0 = draw(size) / 2, (draw(steps, rows), draw(rows)), 2 * draw(steps, rows)
    return [one.requires_grad_() for one in (weights, *grads, x0 + step * torch.randn_like(x0), x0)]


@pytest.mark.parametrize("is_relu", [True, False])
def test_derivatives_are_those_of_finite_differences(is_relu):
    function, of = partial(RNNMultiplierFunction.apply, is_relu), operands(0, 2, 3, 2, 2)
    assert torch.autograd.gradcheck(function, of, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, of, fast_mode=True)


@settings(max_examples=25, deadline=None)
@given(
    st.booleans(),
    st.integers(0, 1000),
    st.integers(1, 2),
    st.integers(1, 4),
    st.sampled_from([0.0, 1e-9, 1e-4, 1.0, 30.0]),
)
def test_values_and_derivatives_are_those_of_the_steps(is_relu, seed, directions, steps, step):
    of = operands(seed, directions, steps, 2, 3, step)
    found, expected = RNNMultiplierFunction.apply(is_relu, *of), rnn_formula(is_relu, *of)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)
    arriving = [torch.randn_like(one) for one in expected]
    slopes = [torch.autograd.grad(one, of, arriving) for one in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-11)
