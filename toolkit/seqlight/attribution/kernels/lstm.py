"""Compiled LSTMs of float32, as ``lstm_trajectory.py`` and ``lstm_multiplier.py`` have them: ``native/lstm.c``."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.kernels.linear import pack
from seqlight.native.threads import run


def lstm_trajectory(w_hh: Tensor, projected: Tensor, first: Tensor, first_cell: Tensor) -> tuple[Tensor, ...]:
    """Return gates before their activation functions, and states and cell states from the first on.

    The gates are written to the place of what the input adds to them.

    Parameters
    ----------
    w_hh : torch.Tensor, shape (directions, 4 size, size)
        The weights for the state.
    projected : torch.Tensor, shape (directions, steps, rows, 4 size), contiguous
        What the input adds to gates.
    first, first_cell : torch.Tensor, shape (directions, rows, size)
        The first state and cell state.
    """
    directions, steps, rows, _ = projected.shape
    states, cells = (projected.new_empty(directions, 1 + steps, *one.shape[1:]) for one in (first, first_cell))
    states[:, 0], cells[:, 0] = first, first_cell
    packed = torch.stack([pack(one) for one in w_hh])
    numbers = steps, rows, first.shape[-1], packed[0].numel()
    run("lstm_trajectories", (packed, projected, states, cells), numbers, directions * rows, projected.numel())
    return projected, states, cells


def lstm_trajectory_vjp(
    w_hh: Tensor, x: Tensor, cells: Tensor, grads: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients at what the input adds to gates, and at the first state and cell state.

    Parameters
    ----------
    w_hh, x, cells : torch.Tensor
        The weights for the state, gates, and cell states from the first on, all contiguous.
    grads : tuple of torch.Tensor
        The gradients at gates, at states after each step, and at the last cell state.
    """
    at_x, at_states = (one.contiguous() for one in grads[:2])
    directions, steps, rows, size = at_states.shape
    at_input, at_cell = torch.empty_like(x), grads[2].clone(memory_format=torch.contiguous_format)
    at_first = torch.empty_like(at_cell)
    packed = torch.stack([pack(one, transposed=True) for one in w_hh])
    tensors = x, cells, packed, at_x, at_states, at_input, at_cell, at_first
    run("lstm_trajectory_gradients", tensors, (steps, rows, size, packed[0].numel()), directions * rows, x.numel())
    return at_input, at_first, at_cell


def lstm_multiplier(
    w_hh: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    sequences: tuple[Tensor, Tensor],
    references: tuple[Tensor, Tensor],
) -> tuple[Tensor, ...]:
    """Return what goes back through all steps, and the cell states of both passes.

    Parameters
    ----------
    w_hh : torch.Tensor, shape (directions, 4 size, size)
        The weights for the state.
    grads : tuple of torch.Tensor
        The gradients at outputs, last states and last cell states.
    sequences, references : tuple of torch.Tensor
        Gates before their activation functions, (directions, steps, rows, 4 size), and first cell states.

    Returns
    -------
    tuple of torch.Tensor
        The gradients at the gates, at states and cell states after each step, and at the first of both; the cell states
        of the sequences and of the references, from the first on.
    """
    grad, at_last, at_last_cell = (one.contiguous() for one in grads)
    (x1, first1), (x0, first0) = ([one.contiguous() for one in both] for both in (sequences, references))
    directions, steps, rows, size = grad.shape
    cells1, cells0 = (x0.new_empty(directions, 1 + steps, rows, size) for _ in range(2))
    dz, dh, dc = (torch.empty_like(one) for one in (x0, grad, grad))
    first, first_cell = torch.empty_like(at_last), torch.empty_like(at_last)
    packed = torch.stack([pack(one, transposed=True) for one in w_hh])
    given = x1, x0, first1, first0, grad, at_last, at_last_cell, packed
    found = cells1, cells0, dz, dh, dc, first, first_cell
    run("lstm_multipliers", (*given, *found), (steps, rows, size, packed[0].numel()), directions * rows, x0.numel())
    return dz, dh, dc, first, first_cell, cells1, cells0


def lstm_derivatives(
    w_hh: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    arrived: tuple[Tensor, Tensor],
    sequences: tuple[Tensor, Tensor],
    references: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the derivatives of :func:`lstm_multiplier`.

    Parameters
    ----------
    w_hh : torch.Tensor, shape (directions, 4 size, size)
        The weights for the state.
    grads : tuple of torch.Tensor
        The gradients at those at the gates, and at the first states and cell states.
    arrived : tuple of torch.Tensor
        What it returned at states and cell states after each step.
    sequences, references : tuple of torch.Tensor
        Gates before their activation functions, and all cell states.

    Returns
    -------
    tuple
        The gradients at those at states, before all steps and after each; at that at the last cell state; and those at
        gates and first cell states, of the sequences and of the references.
    """
    grad, at_first, at_first_cell = (one.contiguous() for one in grads)
    (x1, cells1), (x0, cells0) = ([one.contiguous() for one in both] for both in (sequences, references))
    directions, steps, rows, size = arrived[0].shape
    states, by_cells1, by_cells0 = (torch.empty_like(cells0) for _ in range(3))
    cell, by_x1, by_x0 = (torch.empty_like(one) for one in (at_first_cell, x1, x0))
    packed = torch.stack([pack(one) for one in w_hh])
    given = x1, x0, cells1, cells0, *arrived, grad, at_first, at_first_cell, packed
    found = states, cell, by_x1, by_x0, by_cells1, by_cells0
    run("lstm_derivatives", (*given, *found), (steps, rows, size, packed[0].numel()), directions * rows, x0.numel())
    return states, cell, (by_x1, by_cells1[:, 0]), (by_x0, by_cells0[:, 0])
