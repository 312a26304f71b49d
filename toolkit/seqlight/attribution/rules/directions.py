"""A layer of a recurrent network in both directions, as two that lie side by side, each in its own order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def each_way(x: Tensor, directions: int) -> list[Tensor]:
    """Return what each direction reads of `x`, shape (steps, rows, features)."""
    return [x] if directions == 1 else [x, x.flip(0)]


def part_ways(y: Tensor, directions: int) -> list[Tensor]:
    """Return what each direction has of `y`, shape (steps, rows, directions * size)."""
    if directions == 1:
        return [y]
    forward, backward = y.chunk(2, dim=-1)
    return [forward, backward.flip(0)]


def sum_ways(grads: Sequence[Tensor]) -> Tensor:
    """Return the gradient at what all directions read, from that at what each reads.

    Examples
    --------
    >>> sum_ways(each_way(torch.arange(3.0), 2))
    tensor([2., 2., 2.])
    >>> sum_ways([torch.arange(3.0), torch.arange(3.0)])
    tensor([2., 2., 2.])
    """
    return grads[0] if len(grads) == 1 else grads[0] + grads[1].flip(0)


def of_each_way(weights: Sequence[Tensor], directions: int) -> list[Sequence[Tensor]]:
    """Return the weights of each direction, which lie one after the other."""
    size = len(weights) // directions
    return [weights[k * size : (k + 1) * size] for k in range(directions)]


class StackedWeights(NamedTuple):
    """The weights of a layer, with a leading dimension of directions."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None

    @classmethod
    def of(cls, weights: Sequence[Tensor], directions: int, turned: int = 0) -> StackedWeights:
        """Stack the weights of a layer, whose gates move on by as many numbers as they are turned."""
        w_ih, w_hh, *more = [torch.stack(each) for each in zip(*of_each_way(weights, directions), strict=True)]
        has_biases = len(more) > 1
        gates = [one.roll(turned, dims=1) for one in (w_ih, w_hh, *(more[:2] if has_biases else ()))]
        return cls(*gates, *(() if has_biases else (None, None)), *more[2 * has_biases :])

    def project(self, x: Tensor) -> Tensor:
        """Return what inputs add to the gates, shape (directions, steps, rows, gates)."""
        return _linear(x, self.w_ih, self.b_ih)

    def recur(self, states: Tensor) -> Tensor:
        """Return what the states before each step add to the gates."""
        return _linear(states, self.w_hh, self.b_hh)

    def gates(self, x: Tensor, states: Tensor) -> Tensor:
        """Return the sum of both."""
        bias = None if self.b_ih is None or self.b_hh is None else self.b_ih + self.b_hh
        found = _linear(x, self.w_ih, bias).flatten(1, 2)
        return torch.baddbmm(found, states.flatten(1, 2), self.w_hh.mT).view(*x.shape[:-1], -1)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = x.flatten(1, 2)
    found = torch.bmm(rows, weight.mT) if bias is None else torch.baddbmm(bias[:, None], rows, weight.mT)
    return found.view(*x.shape[:-1], -1)
