"""A layer of a recurrent network in both directions, as two that lie side by side, each in its own order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from seqlight.attribution.rules.recurrent_weights import Weights


def each_way(x: Tensor, directions: int) -> list[Tensor]:
    """Return what each direction reads of `x`, shape (steps, rows, features)."""
    return [x] if directions == 1 else [x, x.flip(0)]


def part_ways(y: Tensor, directions: int) -> list[Tensor]:
    """Return what each direction has of `y`, shape (steps, rows, directions * size)."""
    if directions == 1:
        return [y]
    forward, backward = y.chunk(2, dim=-1)
    return [forward, backward.flip(0)]


def join_ways(y: Tensor) -> Tensor:
    """Return what a layer returns, shape (steps, rows, directions * size), of what each direction has."""
    return y[0].clone() if len(y) == 1 else torch.cat([y[0], y[1].flip(0)], dim=-1)


def sum_ways(grads: Sequence[Tensor]) -> Tensor:
    """Return the gradient at what all directions read, from that at what each reads.

    Examples
    --------
    >>> sum_ways(each_way(torch.arange(3.0), 2))
    tensor([0., 2., 4.])
    >>> sum_ways([torch.arange(3.0), torch.arange(3.0)])
    tensor([2., 2., 2.])
    """
    return grads[0] if len(grads) == 1 else grads[0] + grads[1].flip(0)


def of_each_way(weights: Sequence[Tensor], directions: int) -> list[Sequence[Tensor]]:
    """Return the weights of each direction, which lie one after the other."""
    size = len(weights) // directions
    return [weights[k * size : (k + 1) * size] for k in range(directions)]


class StackedWeights(Weights):
    """The weights of a layer, with a leading dimension of directions."""

    @classmethod
    def of_layer(cls, weights: Sequence[Tensor], directions: int) -> Self:
        """Stack the weights of a layer, which lie one direction after the other."""
        return cls.of([torch.stack(each) for each in zip(*of_each_way(weights, directions), strict=True)])

    @property
    def bias(self) -> Tensor | None:
        """The sum of both biases, if there are any."""
        return None if self.b_ih is None or self.b_hh is None else self.b_ih + self.b_hh

    def gates(self, x: Tensor, states: Tensor) -> Tensor:
        """Return what inputs and the states before each step add up to, shape (directions, steps, rows, gates)."""
        found = multiply(x, self.w_ih, self.bias).flatten(1, 2)
        return found.baddbmm_(states.flatten(1, 2), self.w_hh.mT).view(*x.shape[:-1], -1)


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return what inputs or states, shape (directions, steps, rows, features), add to the gates."""
    rows = x.flatten(1, 2)
    found = torch.bmm(rows, weight.mT) if bias is None else torch.baddbmm(bias[:, None], rows, weight.mT)
    return found.view(*x.shape[:-1], -1)
