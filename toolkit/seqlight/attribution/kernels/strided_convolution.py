"""Steps longer than one: a convolution of stride s is one of stride 1 over s times as many channels.

Phase p of a channel are its positions p, p + s, p + 2 s and so on. Each product is made once, as one after the other,
and what takes many channels and few positions at a time is what the loops are good at: the stem of a transformer, which
reads patches of a sequence, has four channels.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Steps(NamedTuple):
    """Stride, padding before the first position, positions that go in, and how many of each phase there are."""

    stride: int
    padding: int
    length: int
    each: int


def apart(x: Tensor, steps: Steps) -> Tensor:
    """Return the phases of positions, (rows, channels, [1,] positions) to (rows, channels * stride, [1,] each).

    Examples
    --------
    >>> import torch
    >>> apart(torch.arange(1, 6).view(1, 1, 5), Steps(2, 1, 5, 3))
    tensor([[[0, 2, 4],
             [1, 3, 5]]])
    """
    stride, padding, length, each = steps
    whole = F.pad(x, (padding, each * stride - length - padding))
    return whole.unflatten(-1, (each, stride)).movedim(-1, 2).flatten(1, 2)  # type: ignore[no-untyped-call, no-any-return]


def together(phases: Tensor, steps: Steps) -> Tensor:
    """Return the positions that phases are of: what :func:`apart` makes, to what it is made of."""
    stride, padding, length, each = steps
    whole = phases.unflatten(1, (-1, stride)).movedim(2, -1).flatten(-2)  # type: ignore[no-untyped-call]
    return F.pad(whole, (-padding, length + padding - each * stride))


def of_weight(weight: Tensor, stride: int, kind: type[Tensor]) -> Tensor:
    """Return weights for phases, (outputs, channels, [1,] taps) to (outputs, channels * stride, [1,] taps of each).

    Those of a parameter, if that is the `kind` of their owner, are one too, so that they are laid out once.
    """
    taps = -(-weight.shape[-1] // stride)
    found = apart(weight.detach(), Steps(stride, 0, weight.shape[-1], taps))
    return nn.Parameter(found, requires_grad=False) if kind is nn.Parameter else found
