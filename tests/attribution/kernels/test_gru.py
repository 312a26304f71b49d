"""Compiled GRUs go through their steps as PyTorch does, and so do gradients and multipliers, but for rounding."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from multipliers import compare_with_formula, needs_wide_registers
from seqlight.attribution.kernels import gru as kernels
from seqlight.attribution.rules.gru_multiplier import GRUMultiplierFunction, gru_formula
from seqlight.attribution.rules.gru_trajectory import GRUTrajectoryFunction, gru_steps

pytestmark = needs_wide_registers

# Directions, steps, rows and numbers of a state: whole registers and parts of them, rows of one tile and of many.
SHAPES = [(1, 1, 1, 1), (2, 5, 3, 5), (1, 7, 40, 16), (2, 3, 7, 33), (2, 2, 27, 70)]
shapes = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 30), st.integers(1, 40))
steps_between = st.sampled_from([0.0, 1e-6, 1e-3, 0.02, 0.3, 2.0, 30.0])


def draw(seed, shape, step):
    """Return weights, gradients, and what gates are made of, `step` apart."""
    torch.manual_seed(seed)
    directions, steps, rows, size = shape
    weights = torch.randn(directions, 3 * size, size) / size**0.5
    grads = [torch.randn(directions, *one, size) for one in ((steps, rows), (rows,))]
    of = [2 * torch.randn(directions, steps, rows, one * size) for one in (3, 3, 1)]
    sequences = [one + step * torch.randn_like(one) for one in of]
    return [one.requires_grad_() for one in (weights, *grads, *sequences, *of)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES) | shapes, steps_between)
def test_multipliers_and_their_derivatives(seed, shape, step):
    compare_with_formula(GRUMultiplierFunction.apply, gru_formula, draw(seed, shape, step))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES) | shapes)
def test_trajectories_and_their_gradients(seed, shape):
    torch.manual_seed(seed)
    directions, steps, rows, size = shape
    sizes = (3 * size, size), (3 * size,), (steps, rows, 3 * size), (rows, size)
    w_hh, *of = (torch.randn(directions, *one) for one in sizes)
    compare_with_formula(
        GRUTrajectoryFunction.apply, gru_steps, [one.requires_grad_() for one in (w_hh / size**0.5, *of)]
    )


def test_a_trajectory_is_that_of_pytorch():
    torch.manual_seed(0)
    network, x = nn.GRU(5, 19), torch.randn(11, 3, 5)
    w_ih, w_hh, b_ih, b_hh = network._flat_weights
    by_input = nn.functional.linear(x, w_ih, b_ih)[None]
    found, _ = GRUTrajectoryFunction.apply(w_hh[None], b_hh[None], by_input, torch.zeros(1, 3, 19))
    torch.testing.assert_close(found[0], network(x)[0], rtol=1e-5, atol=1e-6)


def test_a_row_does_not_depend_on_those_beside_it():
    w_hh, *of = (one.detach() for one in draw(0, (2, 4, 29, 21), 0.3))
    some = [one[..., 5:12, :] for one in of]
    found, alone = (kernels.gru_multiplier(w_hh, tuple(each[:2]), each[2:]) for each in (of, some))
    for one, other in zip(alone, found, strict=True):
        assert torch.equal(one, other[..., 5:12, :])
