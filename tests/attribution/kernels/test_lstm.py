"""Compiled LSTMs go through their steps as PyTorch does, and so do gradients and multipliers, but for rounding."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from multipliers import compare_with_formula, needs_wide_registers
from seqlight.attribution.kernels import lstm as kernels
from seqlight.attribution.rules.lstm_multiplier import LSTMMultiplierFunction, lstm_formula
from seqlight.attribution.rules.lstm_trajectory import LSTMTrajectoryFunction, lstm_steps

pytestmark = needs_wide_registers

# Directions, steps, rows and numbers of a state: whole registers and parts of them, rows of one tile and of many.
SHAPES = [(1, 1, 1, 1), (2, 5, 3, 5), (1, 7, 40, 16), (2, 3, 7, 33), (2, 2, 27, 70)]
shapes = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 30), st.integers(1, 40))
steps_between = st.sampled_from([0.0, 1e-6, 1e-3, 0.02, 0.3, 2.0, 30.0])


def draw(seed, shape, step):
    """Return weights, gradients, and gates and cell states that are `step` apart."""
    torch.manual_seed(seed)
    directions, steps, rows, size = shape
    weights = torch.randn(directions, 4 * size, size) / size**0.5
    grads = [torch.randn(directions, *one, size) for one in ((steps, rows), (rows,), (rows,))]
    gates, cell = 2 * torch.randn(directions, steps, rows, 4 * size), torch.randn(directions, rows, size)
    of = gates + step * torch.randn_like(gates), cell + step * torch.randn_like(cell), gates, cell
    return [one.requires_grad_() for one in (weights, *grads, *of)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES) | shapes, steps_between)
def test_multipliers_and_their_derivatives(seed, shape, step):
    def multiply(w_hh, *of):
        return LSTMMultiplierFunction.apply(w_hh, None, *of)

    compare_with_formula(multiply, lambda w_hh, *of: lstm_formula(w_hh, None, *of), draw(seed, shape, step))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES) | shapes, st.integers(1, 9))
def test_trajectories_and_their_gradients(seed, shape, features):
    torch.manual_seed(seed)
    directions, steps, rows, size = shape
    sizes = (4 * size, features), (4 * size, size), (4 * size,), (steps, rows, features), (rows, size), (rows, size)
    w_ih, w_hh, *of = (torch.randn(directions, *one) for one in sizes)
    operands = w_ih / features**0.5, w_hh / size**0.5, *of
    compare_with_formula(LSTMTrajectoryFunction.apply, lstm_steps, [one.requires_grad_() for one in operands])


def test_a_trajectory_is_that_of_pytorch():
    torch.manual_seed(0)
    network, x = nn.LSTM(5, 19), torch.randn(11, 3, 5)
    y, (_, cell) = network(x)
    w_ih, w_hh, b_ih, b_hh = (one[None] for one in network._flat_weights)
    first = torch.zeros(1, 3, 19)
    found, last, _ = LSTMTrajectoryFunction.apply(w_ih, w_hh, b_ih + b_hh, x[None], first, first)
    torch.testing.assert_close(found[0], y, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last, cell, rtol=1e-5, atol=1e-6)


def multiply(operands):
    w_hh, *of = operands
    return kernels.lstm_multiplier(w_hh, tuple(of[:3]), tuple(of[3:5]), tuple(of[5:]))


def test_a_row_does_not_depend_on_those_beside_it():
    operands = [one.detach() for one in draw(0, (2, 4, 29, 21), 0.3)]
    found = multiply(operands)
    some = [operands[0], *(one[..., 5:12, :] for one in operands[1:])]
    for one, other in zip(multiply(some), found, strict=True):
        assert torch.equal(one, other[..., 5:12, :])


def test_gates_that_are_not_finite():
    operands = [one.detach() for one in draw(0, (1, 3, 2, 4), 0.3)]
    infinite, large = ([one.clone() for one in operands] for _ in range(2))
    for gates, number in ((infinite, torch.inf), (large, 1e20)):
        gates[4][0, 1, 0, ::3], gates[6][0, 1, 0, ::3], gates[6][0, 1, 1, ::5] = number, -number, number
    found = multiply(infinite)
    assert all(one.isfinite().all() for one in found)
    torch.testing.assert_close(found, multiply(large))
    operands[4][0, 1, 0, 0] = torch.nan
    dz, *_ = multiply(operands)
    assert dz[:, :, 0].isnan().any()
    assert dz[:, :, 1].isfinite().all()
