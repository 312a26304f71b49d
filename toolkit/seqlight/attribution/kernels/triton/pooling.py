"""Max pooling in Triton, its multipliers and its gradient: the twin of ``native/pooling.c``.

One kernel on the way forward returns maxima, positions and multipliers, and one on the way back gathers for each
position what its windows give it, in their order: no result depends on which program is first. The plain twins are in
``rules/pooling.py``.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlight.attribution.calls.partners import batch_dimension
from seqlight.attribution.kernels.memory_layout import are_packed, element_pairs, row_pairs
from seqlight.attribution.kernels.triton.launch import BLOCK, launch
from seqlight.attribution.kernels.triton.pairs import partner_of, quotient

#: Maxima that are equal but for rounding may give a multiplier that is so much above 1.
SLACK = tl.constexpr(1 + 1 / 256)
#: A position beyond all others, of a maximum that has not been found.
NOWHERE = tl.constexpr(2**31 - 1)


@triton.jit
def largest_of(row: tl.tensor, width: tl.tensor, BLOCK: tl.constexpr) -> tl.tensor:
    """Return the largest finite magnitude of a row."""
    most = tl.zeros([BLOCK], row.dtype.element_ty)
    for start in range(0, width, BLOCK):
        i = start + tl.arange(0, BLOCK)
        a = tl.abs(tl.load(row + i, i < width, 0.0))
        most = tl.maximum(most, tl.where(a < float("inf"), a, 0.0))
    return tl.max(most, 0)


@triton.jit
def credit_of(
    u: tl.tensor,
    w1: tl.tensor,
    v: tl.tensor,
    w0: tl.tensor,
    a1: tl.tensor,
    a0: tl.tensor,
    inside: tl.tensor,
    NEAR: tl.constexpr,
) -> tl.tensor:
    """Return the multiplier of windows with maxima u at w1 in the sequence's row a1, and v at w0 in the reference's.

    And the position to which it belongs.
    """
    grown = u >= v
    to = tl.where(grown, w1, w0)
    other = tl.load(tl.where(grown, a0, a1) + to, inside, 0.0)
    dx = tl.where(grown, u - other, other - v)
    close = (tl.abs(dx) < NEAR) | ((u == v) & (dx != dx))
    return tl.where(close, 1.0, quotient(u - v, tl.where(close, 1.0, dx))), to


@triton.jit(do_not_specialize=["span", "n", "width", "windows", "size", "stride", "padding", "dilation"])
def _pools(
    y0: tl.tensor,
    winners: tl.tensor,
    multipliers: tl.tensor,
    x1: tl.tensor,
    y1: tl.tensor,
    winners1: tl.tensor,
    x0: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    width: tl.tensor,
    windows: tl.tensor,
    size: tl.tensor,
    stride: tl.tensor,
    padding: tl.tensor,
    dilation: tl.tensor,
    NEAR: tl.constexpr,
    TIE: tl.constexpr,
    WINDOWS: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    partner = partner_of(row, span, n)
    a1, a0 = x1 + partner * width, x0 + row * width
    # Maxima that differ by less count as equal.
    tie1, tie0 = largest_of(a1, width, BLOCK) * TIE, largest_of(a0, width, BLOCK) * TIE
    for start in range(0, windows, WINDOWS):
        j = start + tl.arange(0, WINDOWS)
        inside = j < windows
        first = j * stride - padding
        # The maximum, the first position that holds it, and the last one that holds no number.
        v = tl.full([WINDOWS], float("-inf"), x0.dtype.element_ty)
        won, lost = tl.full([WINDOWS], NOWHERE, tl.int32), tl.full([WINDOWS], -1, tl.int32)
        for place in range(0, size, PLACES):
            t = place + tl.arange(0, PLACES)
            at = first[:, None] + t[None, :] * dilation
            there = inside[:, None] & (t < size)[None, :] & (at >= 0) & (at < width)
            a = tl.load(a0 + at, there, float("-inf"))
            lost = tl.maximum(lost, tl.max(tl.where(a != a, at, -1), 1))
            best = tl.max(tl.where(a != a, float("-inf"), a), 1)
            here = tl.min(tl.where(there & (a == best[:, None]), at, NOWHERE), 1)
            won = tl.where((best > v) | (won == NOWHERE), here, won)
            v = tl.maximum(v, best)
        v = tl.where(lost >= 0, float("nan"), v)
        won = tl.where(lost >= 0, lost, won)
        u = tl.load(y1 + partner * windows + j, inside, 0.0)
        w1 = tl.load(winners1 + partner * windows + j, inside, 0).to(tl.int32)
        multiplier, to = credit_of(u, w1, v, won, a1, a0, inside, NEAR)
        # The first of the maxima that count as equal, if it is before the one that is reported.
        grown = u >= v
        least = tl.where(grown, u - tie1, v - tie0)
        equal = tl.full([WINDOWS], NOWHERE, tl.int32)
        for place in range(0, size, PLACES):
            t = place + tl.arange(0, PLACES)
            at = first[:, None] + t[None, :] * dilation
            there = inside[:, None] & (t < size)[None, :] & (at >= 0) & (at < width)
            a = tl.load(tl.where(grown, a1, a0)[:, None] + at, there, float("-inf"))
            equal = tl.minimum(equal, tl.min(tl.where(there & (a >= least[:, None]), at, NOWHERE), 1))
        earlier = inside & (equal < to)
        dx = tl.load(a1 + equal, earlier, 0.0) - tl.load(a0 + equal, earlier, 0.0)
        dy = u - v
        # The multiplier there must be one of a cross-maximum.
        wins = earlier & (dy * dx > 0) & (tl.abs(dy) <= tl.abs(dx) * SLACK)
        multiplier = tl.where(wins, quotient(dy, tl.where(wins, dx, 1.0)), multiplier)
        out = row * windows + j
        tl.store(y0 + out, v, inside)
        tl.store(winners + out, tl.where(wins, equal, to), inside)
        tl.store(multipliers + out, multiplier, inside)


@triton.jit(do_not_specialize=["span", "n", "width", "windows"])
def _pool_credits(
    winners: tl.tensor,
    multipliers: tl.tensor,
    x1: tl.tensor,
    y1: tl.tensor,
    winners1: tl.tensor,
    x0: tl.tensor,
    y0: tl.tensor,
    winners0: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    width: tl.tensor,
    windows: tl.tensor,
    NEAR: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    partner = partner_of(row, span, n)
    for start in range(0, windows, BLOCK):
        j = start + tl.arange(0, BLOCK)
        inside = j < windows
        u, w1 = tl.load(y1 + partner * windows + j, inside, 0.0), tl.load(winners1 + partner * windows + j, inside, 0)
        v, w0 = tl.load(y0 + row * windows + j, inside, 0.0), tl.load(winners0 + row * windows + j, inside, 0)
        multiplier, to = credit_of(u, w1, v, w0, x1 + partner * width, x0 + row * width, inside, NEAR)
        tl.store(winners + row * windows + j, to, inside)
        tl.store(multipliers + row * windows + j, multiplier, inside)


@triton.jit(do_not_specialize=["width", "windows", "stride", "padding", "overlap"])
def _pool_gradients(
    out: tl.tensor,
    grad: tl.tensor,
    multipliers: tl.tensor,
    winners: tl.tensor,
    width: tl.tensor,
    windows: tl.tensor,
    stride: tl.tensor,
    padding: tl.tensor,
    overlap: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    for start in range(0, width, BLOCK):
        i = start + tl.arange(0, BLOCK)
        # The last window that may contain position i, and those before it that overlap.
        last = (i + padding) // stride
        total = tl.zeros([BLOCK], grad.dtype.element_ty)
        for k in range(0, overlap):
            j = last - (overlap - 1 - k)
            at = row * windows + j
            won = tl.load(winners + at, (j >= 0) & (j < windows) & (i < width), -1) == i
            total += tl.load(grad + at, won, 0.0) * tl.load(multipliers + at, won, 0.0)
        tl.store(out + row * width + i, total, i < width)


def max_pool(
    recorded: tuple[Tensor, Tensor, Tensor],
    x0: Tensor,
    window: tuple[int, int, int, int],
    threshold: float,
    tie: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the maxima of windows over the last dimension, the positions credited (int32), and the multipliers.

    Parameters are those of ``kernels.pooling.max_pool``; for tensors that it does not take it returns None, too.
    """
    x1, y1, winners1 = recorded
    rows = row_pairs(x1, x0) if are_packed(x1, y1, x0) and winners1.is_contiguous() else None
    if rows is None or not y1.numel():
        return None
    (size, stride, padding, dilation), (width, windows) = window, (x0.shape[-1], y1.shape[-1])
    y0 = x0.new_empty(*x0.shape[:-1], windows)
    winners, out = torch.empty_like(y0, dtype=torch.int32), torch.empty_like(y0)
    places = _power(size, BLOCK)
    constants = {"NEAR": threshold, "TIE": tie, "BLOCK": _power(width, BLOCK)}
    constants |= {"PLACES": places, "WINDOWS": _power(windows, BLOCK // places)}
    arguments = winners, out, x1, y1, winners1, x0, *rows, width, windows, size, stride, padding, dilation
    launch(_pools, x0.numel() // width, y0, *arguments, **constants)
    return y0, winners, out


def cross_maximum(
    recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, Tensor, Tensor], n_pooled: int, threshold: float
) -> tuple[Tensor, Tensor] | None:
    """Return the position that gets the credit of each window, and the multiplier there; or None.

    Parameters are those of ``kernels.pooling.cross_maximum``.
    """
    (x1, y1, winners1), (x0, y0, winners0) = recorded, reference
    if not are_packed(x1, y1, x0, y0) or not (winners1.is_contiguous() and winners0.is_contiguous() and y0.numel()):
        return None
    at, lead = batch_dimension(x1, x0), x0.ndim - n_pooled
    if at is not None and at[0] >= lead:
        return None
    width, windows = x0.shape[lead:].numel(), y0.shape[lead:].numel()
    span, n = element_pairs(x1, x0)
    winners, out = torch.empty_like(winners0), torch.empty_like(y0)
    arguments = out, x1, y1, winners1, x0, y0, winners0, span // width, n, width, windows
    constants = {"NEAR": threshold, "BLOCK": _power(windows, BLOCK)}
    launch(_pool_credits, x0.numel() // width, winners, *arguments, **constants)
    return winners, out


def max_pool_vjp(
    grad: Tensor,
    multiplier: Tensor,
    winners: Tensor,
    shape: torch.Size,
    n_pooled: int,
    window: tuple[int, int, int, int] | None,
) -> Tensor | None:
    """Return the gradient at the input of a pooling over windows of the last dimension, of `shape`; or None.

    Parameters are those of ``kernels.pooling.max_pool_vjp``.
    """
    grad = grad.contiguous()
    if window is None or not are_packed(grad, multiplier) or not winners.is_contiguous():
        return None
    size, stride, padding, dilation = window
    out, (width, windows) = grad.new_empty(shape), (shape[-1], grad.shape[-1])
    overlap = -(-(dilation * (size - 1) + 1) // stride)
    numbers = width, windows, stride, padding, overlap
    launch(_pool_gradients, out.numel() // width, out, grad, multiplier, winners, *numbers, BLOCK=_power(width, BLOCK))
    return out


def _power(number: int, most: int) -> int:
    """Return the smallest power of 2 that is not less, or `most`."""
    return min(int(triton.next_power_of_2(number)), most)
