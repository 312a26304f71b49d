"""Compiled GRUs of float32, as ``gru_trajectory.py`` and ``gru_multiplier.py`` have them: ``native/gru.c``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.attribution.kernels.linear import pack
from seqlight.native.threads import run


def gru_trajectory(w_hh: Tensor, b_hh: Tensor | None, by_input: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return what states add to gates, and states from the first on.

    Parameters
    ----------
    w_hh : torch.Tensor, shape (directions, 3 size, size)
        The weights for the state.
    b_hh : torch.Tensor, shape (directions, 3 size), optional
        The bias beside these.
    by_input : torch.Tensor, shape (directions, steps, rows, 3 size), contiguous
        What the input adds to gates.
    first : torch.Tensor, shape (directions, rows, size)
        The first state.
    """
    directions, steps, rows, _ = by_input.shape
    by_state, states = torch.zeros_like(by_input), by_input.new_empty(directions, 1 + steps, *first.shape[1:])
    if b_hh is not None:
        by_state += b_hh[:, None, None]
    states[:, 0] = first
    packed = torch.stack([pack(one) for one in w_hh])
    numbers = steps, rows, first.shape[-1], packed[0].numel()
    run("gru_trajectories", (by_input, packed, by_state, states), numbers, directions * rows, by_input.numel())
    return by_state, states


def gru_trajectory_vjp(
    w_hh: Tensor, by_input: Tensor, by_state: Tensor, states: Tensor, grads: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients at what inputs and states add to gates, and at the first state.

    Parameters
    ----------
    w_hh, by_input, by_state, states : torch.Tensor, all but the first contiguous
        The weights for the state, and all that :func:`gru_trajectory` takes and returns.
    grads : tuple of torch.Tensor
        The gradients at states after each step, and at what states add to gates.
    """
    at_states, at_gates = (one.contiguous() for one in grads)
    directions, steps, rows, size = at_states.shape
    at_input, at_state = torch.empty_like(by_input), torch.empty_like(by_state)
    at_first = at_states.new_empty(directions, rows, size)
    packed = torch.stack([pack(one, transposed=True) for one in w_hh])
    tensors = by_input, by_state, states, packed, at_states, at_gates, at_input, at_state, at_first
    numbers = steps, rows, size, packed[0].numel()
    run("gru_trajectory_gradients", tensors, numbers, directions * rows, by_input.numel())
    return at_input, at_state, at_first


def gru_multiplier(w_hh: Tensor, grads: tuple[Tensor, Tensor], of: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return what goes back through all steps.

    Parameters
    ----------
    w_hh : torch.Tensor, shape (directions, 3 size, size)
        The weights for the state.
    grads : tuple of torch.Tensor
        The gradients at outputs and last states.
    of : sequence of torch.Tensor
        Of sequences and of references: what inputs and states add to gates, (directions, steps, rows, 3 size), and the
        state before each step.

    Returns
    -------
    tuple of torch.Tensor
        The gradients at what inputs and states add to gates, at states after each step, and at the first one.
    """
    grad, at_last = (one.contiguous() for one in grads)
    given = [one.contiguous() for one in of]
    directions, steps, rows, size = grad.shape
    found = *(torch.empty_like(given[0]) for _ in range(2)), torch.empty_like(grad), torch.empty_like(at_last)
    packed = torch.stack([pack(one, transposed=True) for one in w_hh])
    numbers = steps, rows, size, packed[0].numel()
    run("gru_multipliers", (*given, grad, at_last, packed, *found), numbers, directions * rows, given[0].numel())
    return found


def gru_derivatives(
    w_hh: Tensor, grads: tuple[Tensor, Tensor], dh: Tensor, of: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the derivatives of :func:`gru_multiplier`.

    Parameters
    ----------
    w_hh, of : torch.Tensor and sequence of torch.Tensor
        As there.
    grads : tuple of torch.Tensor
        The gradients at those at what inputs add to gates, and at the first state.
    dh : torch.Tensor
        What it returned at states after each step.

    Returns
    -------
    tuple
        The gradients at those at states, before all steps and after each, and those at `of`.
    """
    grad, at_first = (one.contiguous() for one in grads)
    given = [one.contiguous() for one in of]
    directions, steps, rows, size = dh.shape
    states, found = dh.new_empty(directions, 1 + steps, rows, size), tuple(torch.empty_like(one) for one in given)
    packed = torch.stack([pack(one) for one in w_hh])
    tensors = *given, dh, grad, at_first, packed, states, *found
    run("gru_derivatives", tensors, (steps, rows, size, packed[0].numel()), directions * rows, grad.numel())
    return states, found
