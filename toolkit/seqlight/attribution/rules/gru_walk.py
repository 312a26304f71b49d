"""A layer of a GRU at all steps: its gates in one pass, and the multipliers between two passes.

Tensors have the directions first (``directions.py``), and gates in PyTorch's order: reset, update, new.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.rules.multiplier_functions import least_secant_step, secant_derivatives, smooth_secants
from seqlight.attribution.rules.special_functions import sigmoid_at, tanh_at
from seqlight.attribution.rules.steps import by_gate


class Walk(NamedTuple):
    """One pass through all steps.

    Attributes
    ----------
    x, y : torch.Tensor, shape (directions, steps, rows, 3 size)
        Gates before and after their activation functions.
    memory : torch.Tensor, shape (directions, steps, rows, size)
        What the state adds to the new one, before it is reset.
    before : torch.Tensor, shape (directions, steps, rows, size)
        The state before each step.
    """

    x: Tensor
    y: Tensor
    memory: Tensor
    before: Tensor

    @classmethod
    def along(cls, by_input: Tensor, by_state: Tensor, before: Tensor) -> Walk:
        """Go through all steps, from what inputs and states add to the gates."""
        n = before.shape[-1]
        x, y, memory = by_input.clone(), torch.empty_like(by_input), by_state[..., 2 * n :].contiguous()
        x[..., : 2 * n] += by_state[..., : 2 * n]
        torch.sigmoid(x[..., : 2 * n], out=y[..., : 2 * n])
        x[..., 2 * n :].addcmul_(y[..., :n], memory)
        torch.tanh(x[..., 2 * n :], out=y[..., 2 * n :])
        return cls(x, y, memory, before)

    def differentiate(
        self, by_x: Tensor, by_y: Tensor, by_memory: Tensor, by_before: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients at what inputs and states add to the gates, and at states, from those at all four."""
        n = self.before.shape[-1]
        by_x[..., 2 * n :].addcmul_(by_y[..., 2 * n :], tanh_at(self.x[..., 2 * n :]))
        by_y[..., :n].addcmul_(by_x[..., 2 * n :], self.memory)
        by_x[..., : 2 * n].addcmul_(by_y[..., : 2 * n], sigmoid_at(self.x[..., : 2 * n]))
        by_memory = torch.addcmul(by_memory, by_x[..., 2 * n :], self.y[..., :n])
        return by_x, torch.cat([by_x[..., : 2 * n], by_memory], dim=-1), by_before


class Multipliers(NamedTuple):
    """By which gradients go back through a step.

    Attributes
    ----------
    to_input, to_state : torch.Tensor, shape (directions, steps, rows, 3 size)
        From the state to what the input adds to the gates, and to what the state before does.
    keep : torch.Tensor, shape (directions, steps, rows, size)
        From the state to the one before, past the gates.
    secants : torch.Tensor, shape (directions, steps, rows, 3 size)
        Those of the gates.
    reset, memory, change : torch.Tensor, shape (directions, steps, rows, size)
        Half way: the gate, what the state adds to the new one, and how far the state before is from the new one.
    at_sigmoids, at_tanh : torch.Tensor
        The places where secants are mean slopes.
    """

    to_input: Tensor
    to_state: Tensor
    keep: Tensor
    secants: Tensor
    reset: Tensor
    memory: Tensor
    change: Tensor
    at_sigmoids: Tensor
    at_tanh: Tensor

    @classmethod
    def between(cls, one: Walk, other: Walk) -> Multipliers:
        """Return those between two passes."""
        n, near, both = one.before.shape[-1], least_secant_step(one.x.dtype), (one.x, other.x, one.y, other.y)
        middle, memory, before = ((a + b).div_(2) for a, b in zip(one[1:], other[1:], strict=True))
        reset, keep, new = by_gate(middle, n).unbind(-2)
        sigmoids, at_sigmoids = smooth_secants(sigmoid_at, near, *(x[..., : 2 * n] for x in both))
        tanhs, at_tanh = smooth_secants(tanh_at, near, *(x[..., 2 * n :] for x in both))
        change, at_new = before.sub_(new), tanhs * (1 - keep)
        at_reset, at_update = at_new * memory * sigmoids[..., :n], sigmoids[..., n:] * change
        to_input, to_state = (torch.cat([at_reset, at_update, one], -1) for one in (at_new, at_new * reset))
        secants = torch.cat([sigmoids, tanhs], dim=-1)
        return cls(to_input, to_state, keep, secants, reset, memory, change, at_sigmoids, at_tanh)

    def differentiate(
        self, one: Walk, other: Walk, to_input: Tensor, to_state: Tensor, keep: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Return the gradients at all that both passes were made of, from those at the multipliers."""
        n = keep.shape[-1]
        by_reset, by_update, _ = by_gate(to_input + to_state, n).unbind(-2)
        by_new, by_memory = to_input[..., 2 * n :], to_state[..., 2 * n :]
        new = self.to_input[..., 2 * n :]
        of_reset, of_update, of_new = by_gate(self.secants, n).unbind(-2)
        by_new = by_new + by_memory * self.reset + by_reset * self.memory * of_reset
        along = torch.cat([by_reset * new * self.memory, by_update * self.change, by_new * (1 - self.keep)], dim=-1)
        # Half way: what arrives at the middle arrives at both ends.
        change, memory = by_update * of_update / 2, by_reset * new * of_reset / 2
        y = torch.cat([by_memory * new / 2, (keep - by_new * of_new) / 2, -change], dim=-1)
        parts = [
            secant_derivatives(slope, one.x[..., of], other.x[..., of], self.secants[..., of], at, along[..., of])
            for slope, of, at in (
                (sigmoid_at, slice(2 * n), self.at_sigmoids),
                (tanh_at, slice(2 * n, None), self.at_tanh),
            )
        ]
        at_1, at_0 = (
            walk.differentiate(torch.cat(by_x, dim=-1), y.clone(), memory, change)
            for walk, *by_x in zip((one, other), *parts, strict=True)
        )
        return at_1, at_0
