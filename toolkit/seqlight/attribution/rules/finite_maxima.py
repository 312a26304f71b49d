"""The first of the maxima of a window that count as equal, for finite numbers on a CPU (see ``first_maxima.py``).

There comparisons and masks take several times as long as arithmetic. So places are counted in floating point, and a
multiplier that is no number is replaced, rather than looked for beforehand.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.partners import align_partners
from seqlight.attribution.rules.elementwise import smallest_step
from seqlight.attribution.rules.first_maxima import MANY_PLACES, correct, tie_of
from seqlight.attribution.rules.pooled_windows import Window


def credit_finite(
    recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, Tensor, Tensor | None], window: Window
) -> tuple[Tensor, Tensor] | None:
    """Return the position that gets the credit of each window, and the multiplier there; None if this cannot be done.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, maxima and positions of the maxima, which are not needed.
    window : Window
        With all inputs of all windows inside of the input.
    """
    (x1, y1, _), (x0, y0, _) = recorded, reference
    shape, width = y0.shape, x0.shape[-1]
    # All positions have to be numbers of the dtype.
    if x0.dtype not in (torch.float32, torch.float64) or not x0.numel() or width >= 1 / torch.finfo(x0.dtype).eps:
        return None
    if window.size > MANY_PLACES or window.leaves_input(width, shape[-1]):
        return None
    scale1, scale0 = _scale(x1, y1, window), _scale(x0, y0, window)
    # Nor may a difference of two overflow.
    if not all(float(one.amax()) < torch.finfo(x0.dtype).max / 2 for one in (scale1, scale0)):
        return None
    from1, from0 = align_partners(_count_places(x1, y1, scale1, window), _count_places(x0, y0, scale0, window))
    (x1, x0), (y1, y0) = align_partners(x1, x0), align_partners(y1, y0)
    x1, dy = x1.expand(x0.shape), y1 - y0
    grown = torch.ge(dy, 0, out=torch.empty_like(dy))
    # Each result takes the memory of one that is no longer needed, which lies in the cache.
    places = torch.lerp(from0, from1.expand_as(from0), grown, out=from0)
    ends = window.starts(shape[-1], y0.device).add_(window.reach - 1).to(y0.dtype)
    first = torch.sub(ends, places, alpha=window.dilation, out=places).long()
    at1, at0 = x1.gather(-1, first), x0.gather(-1, first)
    # By how much the credited input is below the maximum of its own window: not at all, but for ties.
    below = torch.sub(y0, at0, out=places)
    dx = torch.sub(at1, at0, out=at0)
    below.lerp_(torch.sub(y1, at1, out=at1), grown)
    if float(below.amax()):
        correct((x1, x0), grown, window, below.bool().nonzero(as_tuple=True), first, dy, dx)
    # Where a position does not change, the plain gradient, 1.
    smallest = smallest_step(dx.dtype)
    largest_of_none = smallest - smallest * torch.finfo(dx.dtype).eps
    multiplier = dy.div_(F.hardshrink(dx, largest_of_none)).nan_to_num_(1, 1, 1)
    return first.reshape(shape), multiplier.reshape(shape)


def _scale(x: Tensor, y: Tensor, window: Window) -> Tensor:
    """Return the size of the largest number of each row of `x`, whose maxima are `y`; NaN if there is one."""
    covered = window.stride == window.size and window.dilation == 1 and y.shape[-1] * window.size == x.shape[-1]
    largest = (y if covered else x).amax(dim=-1, keepdim=True)
    if float(x.amin()) >= 0:  # of all at once, which is faster than by rows: after relu there is nothing below 0
        return largest
    return torch.maximum(largest, x.amin(dim=-1, keepdim=True).neg_())


def _count_places(x: Tensor, y: Tensor, scale: Tensor, window: Window) -> Tensor:
    """Return how many places of each window, without the last, are not before the first that counts as its maximum."""
    (size, stride, _, dilation), windows = window, y.shape[-1]
    if size == 1:
        return torch.zeros_like(y)
    least = torch.sub(y, scale, alpha=tie_of(x.dtype))
    found, *others = (x[..., t * dilation :: stride][..., :windows] for t in range(size - 1))
    found = torch.sub(found, least).ge_(0)
    count, reached = found.clone(), torch.empty_like(y)
    for inputs in others:
        torch.maximum(found, torch.sub(inputs, least, out=reached).ge_(0), out=found)
        count += found
    return count
