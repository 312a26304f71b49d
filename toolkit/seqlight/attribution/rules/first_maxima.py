"""The first of the maxima of a window that count as equal, which max pooling credits (``pooling.py``).

Which one is the first is found by comparing all windows at once, one place after the other.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.partners import align_partners
from seqlight.attribution.rules.pooled_windows import Window

# Maxima of a window count as equal if they differ by less than this many units in the last place of the largest input
# of their row: the fast algorithm of convolutions rounds that much. With many more, some would differ in truth: so in
# half precision none but equal ones do, for convolutions add up in float32 there, and round once.
TIES = 16
# Then the multiplier may be above 1, by this factor at most.
SLACK = 1 + 1 / 256
# Windows with more inputs are compared in one pass unless they overlap, which would repeat their inputs in memory.
MANY_PLACES = 16


def tie_of(dtype: torch.dtype) -> float:
    """Return which share of the largest input of a row may part maxima that count as equal."""
    return TIES * torch.finfo(dtype).eps if dtype.itemsize > 2 else 0.0


def credit_first(
    recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, Tensor, Tensor | None], window: Window
) -> tuple[Tensor, Tensor, Tensor]:
    """Return who is credited with the difference of each window.

    Parameters
    ----------
    recorded : tuple of torch.Tensor
        Input and maxima of the sequences, and the positions of the maxima as PyTorch reports them.
    reference : tuple of torch.Tensor
        The same of their references; on a CPU the positions may be None, as they are found where they are needed.
    window : Window

    Returns
    -------
    winners : torch.Tensor of int64, shape of the references' maxima
        The positions that are credited.
    dy, dx : torch.Tensor, shape of `winners`
        The differences of the maxima, and of the inputs at these positions.
    """
    x1, y1, winners1 = recorded
    x0, y0, winners0 = reference
    # From the first of equal maxima on, in the sequence if the maximum grew, else in the reference.
    from1, from0 = align_partners(_places_from_first(x1, y1, window), _places_from_first(x0, y0, window))
    (x1, x0), (y1, y0), shape = align_partners(x1, x0), align_partners(y1, y0), y0.shape
    x1, grown = x1.expand(x0.shape), y1 >= y0
    # Several times as fast as torch.where, which does not know what to expect.
    places = (from1 - from0).mul_(grown).add_(from0)
    ends = window.starts(y0.shape[-1], y0.device).add_(window.reach - 1)
    first = torch.sub(ends, places, alpha=window.dilation)
    if window.leaves_input(x0.shape[-1], y0.shape[-1]):
        first.clamp_(0, x0.shape[-1] - 1)
    at_first = x1.gather(-1, first), x0.gather(-1, first)
    dy, dx = y1 - y0, at_first[0] - at_first[1]
    if y0.is_cpu:
        _correct_few((x1, x0), (y1, y0), at_first, grown, window, first, dy, dx)
        found = first, dy, dx
    else:  # which would have to be waited for to know how few
        assert winners0 is not None
        reported = torch.where(grown, *align_partners(winners1, winners0))
        step = x1.gather(-1, reported) - x0.gather(-1, reported)
        stays = _may_be_credited(dy, dx)
        found = torch.where(stays, first, reported), dy, torch.where(stays, dx, step)
    return found[0].reshape(shape), found[1].reshape(shape), found[2].reshape(shape)


def _may_be_credited(dy: Tensor, dx: Tensor) -> Tensor:
    """Return whether an input that differs by `dx` may have the credit of a window that differs by `dy`."""
    return (dy * dx > 0) & (dy.abs() <= dx.abs() * SLACK)


def _correct_few(
    inputs: tuple[Tensor, Tensor],
    maxima: tuple[Tensor, Tensor],
    at_first: tuple[Tensor, Tensor],
    grown: Tensor,
    window: Window,
    first: Tensor,
    dy: Tensor,
    dx: Tensor,
) -> None:
    """Write the position that PyTorch reports, and the step there, where the first may not be credited."""
    least = torch.finfo(dy.dtype).min  # padding is no maximum
    is_maximum1, is_maximum0 = (x >= y.clamp_min(least) for x, y in zip(at_first, maxima, strict=True))
    # Of maxima that are exactly equal, PyTorch reports the first.
    is_maximum = (is_maximum1 & grown) | (is_maximum0 & ~grown)
    if not is_maximum.all():
        correct(inputs, grown, window, (~is_maximum).nonzero(as_tuple=True), first, dy, dx)


def correct(
    inputs: tuple[Tensor, Tensor],
    grown: Tensor,
    window: Window,
    windows: tuple[Tensor, ...],
    first: Tensor,
    dy: Tensor,
    dx: Tensor,
) -> None:
    """Write the position that PyTorch reports, and the step there, for those of `windows` whose first may not be it."""
    least = torch.finfo(dy.dtype).min
    refused = ~_may_be_credited(dy[windows], dx[windows])
    windows = tuple(one[refused] for one in windows)
    at, winner = windows[-1], grown[windows].bool().unsqueeze(-1)
    steps = torch.arange(window.size, device=at.device) * window.dilation
    places = (at * window.stride - window.padding).unsqueeze(-1) + steps
    width = inputs[0].shape[-1]
    inside = (places >= 0) & (places < width)
    rows = tuple(one.unsqueeze(-1) for one in windows[:-1])
    x1, x0 = (one[(*rows, places.clamp(0, width - 1))] for one in inputs)
    values = torch.where(winner, x1, x0).clamp_min_(least).masked_fill_(~inside, -torch.inf)
    reported = F.max_pool1d_with_indices(values.unsqueeze(1), [window.size])[1].view(-1, 1)
    first[windows] = places.gather(-1, reported).squeeze(-1)
    dx[windows] = (x1 - x0).gather(-1, reported).squeeze(-1)


def _places_from_first(x: Tensor, y: Tensor, window: Window) -> Tensor:
    """Return how many places of each window, without the last, are not before the first that counts as its maximum."""
    (size, stride, padding, dilation), windows = window, y.shape[-1]
    scale = x.abs().nan_to_num_(0, 0, 0).amax(dim=-1, keepdim=True)
    least = torch.sub(y, scale, alpha=tie_of(x.dtype)).clamp_min_(torch.finfo(x.dtype).min)  # padding is never equal
    after = window.padding_after(x.shape[-1], windows)
    padded = F.pad(x, (padding, after), value=-torch.inf) if padding or after else x
    if size > MANY_PLACES and stride >= window.reach:
        return _compare_in_one_pass(padded.unfold(-1, window.reach, stride)[..., :windows, ::dilation], least)
    places = (padded[..., t * dilation :: stride][..., :windows] for t in range(size - 1))
    return _compare_by_place(places, least, size)


def _compare_by_place(places: Iterable[Tensor], least: Tensor, size: int) -> Tensor:
    """Return how many inputs of each window are not before the first that reaches `least`."""
    count = torch.zeros_like(least, dtype=torch.uint8 if size < 1 << 8 else torch.int32)
    found: Tensor | None = None
    for inputs in places:
        equal = inputs >= least
        found = equal if found is None else found.logical_or_(equal)
        count += found
    return count


def _compare_in_one_pass(inputs: Tensor, least: Tensor) -> Tensor:
    """Return the same of windows with shape (..., windows, size)."""
    equal, size = inputs >= least.unsqueeze(-1), inputs.shape[-1]
    # The first place has the largest number.
    order = torch.arange(size - 1, -1, -1, device=inputs.device, dtype=torch.uint8 if size < 1 << 8 else torch.int32)
    return (equal * order).amax(dim=-1)
