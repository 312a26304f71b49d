"""Strided convolutions as plain ones: stride s over c channels is stride 1 over the s * c phases of these channels.

Phase p of a channel holds its positions p, p + s, p + 2 s and so on. The products are the same, and many channels with
few positions are what the loops are good at: the stem of a transformer, which reads patches of a sequence, has four
channels.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Phases(NamedTuple):
    """How positions divide into phases: stride, padding before the first, length, and length of a phase."""

    stride: int
    padding: int
    length: int
    phase_length: int


def split_phases(x: Tensor, phases: Phases) -> Tensor:
    """Return the phases of `x`: (rows, channels, [1,] length) to (rows, channels * stride, [1,] phase_length).

    Examples
    --------
    >>> import torch
    >>> split_phases(torch.arange(1, 6).view(1, 1, 5), Phases(2, 1, 5, 3))
    tensor([[[0, 2, 4],
             [1, 3, 5]]])
    """
    stride, padding, length, phase_length = phases
    whole = F.pad(x, (padding, phase_length * stride - length - padding))
    return whole.unflatten(-1, (phase_length, stride)).movedim(-1, 2).flatten(1, 2)  # type: ignore[no-untyped-call, no-any-return]


def join_phases(x: Tensor, phases: Phases) -> Tensor:
    """Return the positions of which :func:`split_phases` returned `x`."""
    stride, padding, length, phase_length = phases
    whole = x.unflatten(1, (-1, stride)).movedim(2, -1).flatten(-2)  # type: ignore[no-untyped-call]
    return F.pad(whole, (-padding, length + padding - phase_length * stride))


def split_weight(weight: Tensor, stride: int, kind: type[Tensor]) -> Tensor:
    """Return weights for phases: (outputs, channels, [1,] taps) to (outputs, channels * stride, [1,] taps of a phase).

    For a weight whose owner is a parameter, by its `kind`, they are a parameter too, so that they are packed only once.
    """
    taps = -(-weight.shape[-1] // stride)
    found = split_phases(weight.detach(), Phases(stride, 0, weight.shape[-1], taps))
    return nn.Parameter(found, requires_grad=False) if kind is nn.Parameter else found
