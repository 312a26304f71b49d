"""A layer of an LSTM at all steps: gates and cell states of one pass, and the multipliers between two passes.

Tensors have the directions first (``directions.py``), and gates in PyTorch's order: input, memory, new, output.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.rules.multiplier_functions import least_secant_step, secant_derivatives, smooth_secants
from seqlight.attribution.rules.special_functions import sigmoid_at, tanh_at
from seqlight.attribution.rules.steps import by_gate


class Walk(NamedTuple):
    """One pass through all steps.

    Attributes
    ----------
    x, y : torch.Tensor, shape (directions, steps, rows, 4 size)
        Gates before and after their activation functions.
    cells : torch.Tensor, shape (directions, 1 + steps, rows, size)
        The first cell state, and those after each step.
    tanh : torch.Tensor, shape (directions, steps, rows, size)
        That of the latter.
    """

    x: Tensor
    y: Tensor
    cells: Tensor
    tanh: Tensor

    @classmethod
    def along(cls, x: Tensor, first: Tensor) -> Walk:
        """Go through all steps, from the first cell state on."""
        n = first.shape[-1]
        y = torch.sigmoid(x)
        torch.tanh(x[..., 2 * n : 3 * n], out=y[..., 2 * n : 3 * n])
        i, f, g, _ = by_gate(y, n).unbind(-2)
        cells = torch.cat([first.unsqueeze(1), i * g], dim=1)
        each = cells.unbind(1)
        for before, after, keep in zip(each, each[1:], f.unbind(1), strict=False):
            after.addcmul_(keep, before)
        return cls(x, y, cells, torch.tanh(cells[:, 1:]))

    def differentiate(self, by_x: Tensor, by_y: Tensor, by_cells: Tensor, by_tanh: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients at `x` and the first cell state, from those at all four, which are overwritten."""
        n = self.tanh.shape[-1]
        i, f, g, _ = by_gate(self.y, n).unbind(-2)
        at_i, at_f, at_g, _ = by_gate(by_y, n).unbind(-2)
        after = by_cells[:, 1:].addcmul_(by_tanh, 1 - self.tanh.square())
        each = by_cells.unbind(1)
        for before, later, keep in reversed(list(zip(each, each[1:], f.unbind(1), strict=False))):
            before.addcmul_(later, keep)
        at_i.addcmul_(after, g)
        at_f.addcmul_(after, self.cells[:, :-1])
        at_g.addcmul_(after, i)
        for _, slope, some in functions(n):
            by_x[..., some].addcmul_(by_y[..., some], slope(self.x[..., some]))
        return by_x, by_cells[:, 0]


class Multipliers(NamedTuple):
    """By which gradients go back through a step.

    Attributes
    ----------
    gates : torch.Tensor, shape (directions, steps, rows, 4 size)
        From what the gates go into to the gates before their activation functions: secants times partners half way.
    cell, keep : torch.Tensor, shape (directions, steps, rows, size)
        From the state to the cell state, and from this to the one before.
    secants, partners, secant, output
        What they are products of: of gates, and of the cell state.
    at_cells, at_first, at_new, at_last : torch.Tensor
        The places where secants are mean slopes: of the cell state, and of gates, in the order of :func:`functions`.
    """

    gates: Tensor
    cell: Tensor
    keep: Tensor
    secants: Tensor
    partners: Tensor
    secant: Tensor
    output: Tensor
    at_cells: Tensor
    at_first: Tensor
    at_new: Tensor
    at_last: Tensor

    @classmethod
    def between(cls, one: Walk, other: Walk) -> Multipliers:
        """Return those between two passes."""
        n, near = one.tanh.shape[-1], least_secant_step(one.x.dtype)
        middle, cells, tanh = ((a + b).div_(2) for a, b in zip(one[1:], other[1:], strict=True))
        i, f, g, o = by_gate(middle, n).unbind(-2)
        partners = torch.stack([g, cells[:, :-1], i, tanh], dim=-2).flatten(-2)
        secant, at_cells = smooth_secants(tanh_at, near, one.cells[:, 1:], other.cells[:, 1:], one.tanh, other.tanh)
        both = one.x, other.x, one.y, other.y
        found = [smooth_secants(slope, near, *(x[..., some] for x in both)) for _, slope, some in functions(n)]
        secants = torch.cat([each for each, _ in found], dim=-1)
        at = at_cells, *(places for _, places in found)
        return cls(secants * partners, secant * o, f, secants, partners, secant, o, *at)

    def differentiate(
        self, one: Walk, other: Walk, by_gates: Tensor, by_cell: Tensor, by_keep: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the gradients at the gates and first cell states of both passes, from those at the multipliers."""
        n = by_cell.shape[-1]
        along = by_gates * self.partners
        by_partner = by_gate(by_gates * self.secants, n).unbind(-2)
        # Half way: what arrives at the middle arrives at both ends.
        g, cells, i, tanh = (each / 2 for each in by_partner)
        y = torch.stack([i, by_keep / 2, g, by_cell * self.secant / 2], dim=-2).flatten(-2)
        at_cells = secant_derivatives(
            tanh_at, one.cells[:, 1:], other.cells[:, 1:], self.secant, self.at_cells, by_cell * self.output
        )
        parts = [
            secant_derivatives(slope, one.x[..., of], other.x[..., of], self.secants[..., of], at, along[..., of])
            for (_, slope, of), at in zip(functions(n), self[-3:], strict=True)
        ]
        found = []
        for walk, *by_x, by_cells in zip((one, other), *parts, at_cells, strict=True):
            before = torch.cat([cells, torch.zeros_like(cells[:, :1])], dim=1)
            before[:, 1:] += by_cells
            found.append(walk.differentiate(torch.cat(by_x, dim=-1), y.clone(), before, tanh))
        return found[0], found[1]


def functions(n: int) -> list[tuple[Function, Function, slice]]:
    """Return the activation functions of gates of `n` numbers each, their slopes, and where they are."""
    first, new, last = slice(2 * n), slice(2 * n, 3 * n), slice(3 * n, 4 * n)
    return [(torch.sigmoid, sigmoid_at, first), (torch.tanh, tanh_at, new), (torch.sigmoid, sigmoid_at, last)]
