"""The multiplier of a layer of an LSTM as a single node: equal to its steps, with first and second derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.attribution.rules.lstm_multiplier import LSTMMultiplierFunction, lstm_formula


def operands(seed, directions, steps, rows, size, projected, step=1.0, dtype=torch.float64):
    """Return weights, gradients, and gates and cell states that are `step` apart."""
    torch.manual_seed(seed)
    outputs = 2 if projected else size

    def draw(*shape):
        return torch.randn(directions, *shape, dtype=dtype)

    weights = draw(4 * size, outputs) / 2, draw(outputs, size) if projected else None
    gates, cell = 2 * draw(steps, rows, 4 * size), draw(rows, size)
    sequences = gates + step * draw(steps, rows, 4 * size), cell + step * draw(rows, size)
    grads = draw(steps, rows, outputs), draw(rows, outputs), draw(rows, size)
    found = *weights, *grads, *sequences, gates, cell
    return [None if one is None else one.requires_grad_() for one in found]


def compare(of, **tolerance):
    """Compare what the node returns and its derivatives with the steps."""
    found, expected = LSTMMultiplierFunction.apply(*of), lstm_formula(*of)
    torch.testing.assert_close(found, expected, **tolerance)
    leaves, arriving = [one for one in of if one is not None], [torch.randn_like(one) for one in expected]
    slopes = [torch.autograd.grad(one, leaves, arriving) for one in (found, expected)]
    torch.testing.assert_close(*slopes, **tolerance)


@pytest.mark.parametrize("projected", [True, False])
def test_derivatives_are_those_of_finite_differences(projected):
    of = operands(0, 2, 3, 2, 2, projected)
    leaves = [one for one in of if one is not None]

    def function(*leaves):
        rest = iter(leaves)
        return LSTMMultiplierFunction.apply(*(None if one is None else next(rest) for one in of))

    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 2),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from([0.0, 1e-9, 1e-4, 1.0, 30.0]),
)
def test_values_and_derivatives_are_those_of_the_steps(seed, directions, steps, projected, step):
    compare(operands(seed, directions, steps, 2, 3, projected, step), rtol=1e-10, atol=1e-11)
