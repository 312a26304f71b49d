"""Where a change goes when a kernel slides along positions: every output that sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.prediction.changed_windows.windows import PlainWindows, Windows, fit


@dataclass(frozen=True)
class Slide:
    """How a kernel slides along positions, as in a convolution.

    Attributes
    ----------
    kernel, stride, dilation : int
    left : int
        Positions of padding before the first.
    fill : float
        What the padding holds.
    """

    kernel: int
    stride: int
    dilation: int
    left: int
    fill: float = 0.0

    @property
    def span(self) -> int:
        """The positions from the first to the last that an output sees."""
        return (self.kernel - 1) * self.dilation + 1

    def outputs(self, x: Windows, length: int) -> tuple[Tensor, int] | None:
        """Return starts and width of the outputs that see the windows, of `length`; None if these are nearly all."""
        first = x.starts + self.left
        starts = torch.div(first - self.span + self.stride, self.stride, rounding_mode="floor")
        ends = torch.div(first + x.width - 1, self.stride, rounding_mode="floor") + 1
        return fit(starts, ends, length)

    def inputs(self, x: Windows, starts: Tensor, width: int, length: int) -> Tensor:
        """Return all that outputs see, padding included, where these have `length` positions in all."""
        right = max(0, (length - 1) * self.stride + self.span - x.length - self.left)
        begin = starts * self.stride - self.left
        size = (width - 1) * self.stride + self.span
        if int(begin.min()) >= 0 and int(begin.max()) + size <= x.length:
            return x.at(begin, size)
        if x.together:
            first, last = max(0, int(begin)), min(int(begin) + size, x.length)
            inner = x.at(begin.clamp(min=0), last - first)
            around = [0, 0] * (x.reference.ndim - 1 - x.axis) + [first - int(begin), int(begin) + size - last]
            return F.pad(inner, around, value=self.fill)
        pads = [0, 0] * (x.reference.ndim - 1 - x.axis) + [self.left, right]
        padded = F.pad(x.reference, pads, value=self.fill)
        return PlainWindows(padded, x.values, x.starts + self.left, x.axis).at(begin + self.left, size)
