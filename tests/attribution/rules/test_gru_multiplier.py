"""The multiplier of a layer of a GRU as a single node: equal to its steps, with first and second derivatives."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.attribution.rules.gru_multiplier import GRUMultiplierFunction, gru_formula


def operands(seed, directions, steps, rows, size, step=1.0):
    """Return weights, gradients, and what gates are made of, `step` apart."""
    torch.manual_seed(seed)

    def draw(*shape):
        return torch.randn(directions, *shape, size, dtype=torch.float64)

    weights, grads = draw(3 * size) / 2, (draw(steps, rows), draw(rows))
    of = [2 * one for one in (*draw(2, steps, rows, 3).flatten(-2).unbind(1), draw(steps, rows))]
    sequences = [one + step * torch.randn_like(one) for one in of]
    return [one.contiguous().requires_grad_() for one in (weights, *grads, *sequences, *of)]


def test_derivatives_are_those_of_finite_differences():
    of = operands(0, 2, 3, 2, 2)
    assert torch.autograd.gradcheck(GRUMultiplierFunction.apply, of, fast_mode=True)
    assert torch.autograd.gradgradcheck(GRUMultiplierFunction.apply, of, fast_mode=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 2), st.integers(1, 4), st.sampled_from([0.0, 1e-9, 1e-4, 1.0, 30.0]))
def test_values_and_derivatives_are_those_of_the_steps(seed, directions, steps, step):
    of = operands(seed, directions, steps, 2, 3, step)
    found, expected = GRUMultiplierFunction.apply(*of), gru_formula(*of)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)
    arriving = [torch.randn_like(one) for one in expected]
    slopes = [torch.autograd.grad(one, of, arriving) for one in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-11)
