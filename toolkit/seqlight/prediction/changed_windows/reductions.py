"""Reductions over positions: sums and means take the difference, maxima look at what lies beside a window."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from seqlight.prediction.changed_windows.call import Call, of_axis
from seqlight.prediction.changed_windows.cancellation import keeps_digits
from seqlight.prediction.changed_windows.pointwise import NUMBER
from seqlight.prediction.changed_windows.windows import Windows, cut


def total(call: Call) -> Any:
    """Return sums or means: over positions whole, over other dimensions windows."""
    x, dims = call.input, call.argument(1, "dim", call.argument(1, "axis"))
    if x is None or dims is None or not x.reference.is_floating_point():
        return None
    if call.argument(3, "dtype") is not None:
        return None
    axes = [of_axis(dim, x.reference.ndim) for dim in ([dims] if isinstance(dims, int) else dims)]
    keep = bool(call.argument(2, "keepdim", False))
    if 0 in axes or not axes:
        return None
    if x.axis not in axes:
        axis = x.axis if keep else x.axis - sum(one < x.axis for one in axes)
        return _elsewhere(call, x, axis)
    if not keeps_digits(call, x):
        return None
    change = x.change().sum(axes, keepdim=keep)
    if call.name == "mean":
        change = change / math.prod(x.reference.shape[one] for one in axes)
    call.spend(3 * x.width / x.length, NUMBER * x.reference.numel())
    return call.reference() + change


def _elsewhere(call: Call, x: Windows, axis: int) -> Any:
    call.spend(x.width / x.length, NUMBER * x.reference.numel())
    return call.windows(call.replaced([x.values, *call.leaves[1:]]), x.starts, axis)


def average_to_one(call: Call) -> Any:
    """Return adaptive average pooling to a single position."""
    x = call.input
    if x is None or not _to_one(call, x):
        return None
    if not keeps_digits(call, x):
        return None
    call.spend(3 * x.width / x.length, NUMBER * x.reference.numel())
    return call.reference() + x.change().sum(x.axis, keepdim=True) / x.length


def largest(call: Call) -> Any:
    """Return maxima over positions, without their places."""
    x, dim = call.input, call.argument(1, "dim")
    if x is None or not isinstance(dim, int):
        return None
    dim, keep = of_axis(dim, x.reference.ndim), bool(call.argument(2, "keepdim", False))
    if dim == 0:
        return None
    if dim != x.axis:
        return _elsewhere(call, x, x.axis if keep else x.axis - (dim < x.axis))
    found = _largest(call, x)
    return found if keep else found.squeeze(x.axis)


def largest_to_one(call: Call) -> Any:
    """Return adaptive max pooling to a single position."""
    x = call.input
    if x is None or not _to_one(call, x) or call.argument(2, "return_indices", False):
        return None
    return _largest(call, x)


def _largest(call: Call, x: Windows) -> Tensor:
    """Return the largest of a window and of all that lies before and after it."""
    left = call.outputs.derived(_largest_before, x.reference, x.axis)
    right = call.outputs.derived(_largest_after, x.reference, x.axis)
    around = torch.maximum(cut(left, x.axis, x.starts, 1), cut(right, x.axis, x.starts + x.width, 1))
    call.spend(2 * x.width / x.length, NUMBER * x.reference.numel())
    return torch.maximum(x.values.amax(x.axis, keepdim=True), around)


def _largest_before(one: Tensor, axis: int) -> Tensor:
    """Return at each place the largest of those before it, and at the end that of all."""
    nothing = torch.full_like(one.narrow(axis, 0, 1), -math.inf)
    return torch.cat([nothing, one.cummax(axis).values], axis)


def _largest_after(one: Tensor, axis: int) -> Tensor:
    """Return at each place the largest from there on."""
    return _largest_before(one.flip(axis), axis).flip(axis)


def _to_one(call: Call, x: Windows) -> bool:
    """Return whether only positions are pooled, to one."""
    size = call.argument(1, "output_size")
    return x.reference.ndim == 3 and x.axis == 2 and size in (1, (1,), [1])
