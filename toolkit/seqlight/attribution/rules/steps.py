"""One layer of a recurrent network as its rules see it, and the pieces of it that they go through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.partners import batch_dimension
from seqlight.attribution.kernels.buffers import Arena, lend_from
from seqlight.errors import UnsupportedOperation

# Numbers of a piece of steps: it stays in the cache of a processor, and calls take little time beside it.
PIECE = 2**17
PIECE_ON_DEVICES = 2**24


@dataclass
class Layer:
    """Input, first states and outputs of a layer in one direction.

    Parameters
    ----------
    x : torch.Tensor, shape (steps, rows, features)
    states : sequence of torch.Tensor, each of shape (rows, size)
    y : torch.Tensor, shape (steps, rows, size)
    weights : sequence of torch.Tensor
        For the input, for the state, both biases, if there are any, and for a projection of the state, if there is one.
    """

    x: Tensor
    states: Sequence[Tensor]
    y: Tensor
    weights: Sequence[Tensor]

    @property
    def biases(self) -> Sequence[Tensor]:
        """Both biases, or none."""
        return self.weights[2:4] if len(self.weights) > 3 else ()

    @property
    def projection(self) -> Tensor | None:
        """The weights of a projection of the state, if it has one."""
        return self.weights[-1] if len(self.weights) % 2 else None

    def before(self) -> Tensor:
        """Return the state before each step."""
        return torch.cat([self.states[0][None], self.y[:-1]])

    def projected(self) -> Tensor:
        """Return what the input adds to the gates of each step, with both biases where they are only summed."""
        return F.linear(self.x.contiguous(), self.weights[0], self.biases[0] if self.biases else None)

    def recurrent(self) -> Tensor:
        """Return what the state before adds to them."""
        return F.linear(self.before(), self.weights[1], self.biases[1] if self.biases else None)

    def gates(self) -> Tensor:
        """Return the sum of both: the gates before their activation functions."""
        (w_ih, w_hh), biases = self.weights[:2], self.biases
        found = F.linear(self.x.contiguous(), w_ih, biases[0] + biases[1] if biases else None)
        found.view(-1, len(w_ih)).addmm_(self.before().flatten(0, 1), w_hh.t())
        return found

    def backwards(self, partner: Layer) -> Iterator[slice]:
        """Yield pieces of steps from the last to the first; what is lent inside of one is lent again in the next.

        Raises
        ------
        UnsupportedOperation
            If rows and steps of the partner do not match: the model reads along its batch.
        """
        require_row_partners(partner.x, self.x)
        arena = Arena()
        for piece in reversed(list(self.pieces())):
            with lend_from(arena):
                yield piece

    def pieces(self) -> Iterator[slice]:
        """Yield pieces of steps from the first to the last."""
        steps, width = len(self.x), self.y[0].numel() * max(1, self.weights[1].shape[0] // self.y.shape[-1])
        size = max(1, (PIECE if self.x.is_cpu else PIECE_ON_DEVICES) // width)
        for first in range(0, steps, size):
            yield slice(first, min(first + size, steps))


def require_row_partners(x1: Tensor, x0: Tensor) -> None:
    """Raise UnsupportedOperation if inputs of sequences and references, steps first, differ in more than their rows."""
    at = batch_dimension(x1, x0)
    if at is not None and at[0] != 1:
        raise UnsupportedOperation(
            f"a recurrent network takes the sequences as shape {tuple(x1.shape)} and their references as "
            f"{tuple(x0.shape)}, where steps come first: it reads along the batch: transpose its "
            "input, or pass it batch_first=True."
        )


def by_gate(x: Tensor, n: int) -> Tensor:
    """Return a view in which the last dimension is split into gates and their `n` numbers.

    Examples
    --------
    >>> by_gate(torch.zeros(5, 2, 12), 4).shape
    torch.Size([5, 2, 3, 4])
    """
    return x.view(*x.shape[:-1], -1, n)


def from_the_last(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return what tensors, which have directions before steps, have of each step, from the last to the first.

    Examples
    --------
    >>> [int(one) for one, in from_the_last(torch.arange(3)[None])]
    [2, 1, 0]
    """
    each: list[tuple[Tensor, ...]] = list(zip(*(x.unbind(1) for x in tensors), strict=True))
    return reversed(each)
