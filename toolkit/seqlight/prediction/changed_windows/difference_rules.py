"""Activations and sums of windows of which the difference from the reference is known, as after a convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_unflatten

from seqlight.prediction.changed_windows.call import Call
from seqlight.prediction.changed_windows.cancellation import is_level
from seqlight.prediction.changed_windows.differences import Differences
from seqlight.prediction.changed_windows.pointwise import NUMBER, elementwise
from seqlight.prediction.changed_windows.windows import Windows, join, plus_reference


def activation(call: Call) -> Any:
    """Return a function of each number, to be computed where it is known whether windows or differences are needed."""
    x, given = call.input, call.leaves[1:]
    if not isinstance(x, Differences) or any(isinstance(one, Tensor) for one in given):
        return elementwise(call)
    whole = call.reference()
    if not _alike(whole, x) or not all(is_level(call.outputs, one, x.axis) for one in (x.reference, whole)):
        return elementwise(call)

    def values() -> Tensor:
        if call.name == "relu" and x.rectified is not None:
            return plus_reference(x.rectified(), whole, x.axis, x.starts, 1, in_place=True)
        new = x.new_values()
        if call.name == "relu":
            return torch.relu_(new)
        args, kwargs = tree_unflatten([new, *given], call.spec)
        found: Tensor = call.func(*args, **kwargs)
        return found

    def difference() -> Tensor:
        if call.name == "relu" and x.rectified is not None:
            return x.rectified()
        return plus_reference(values(), whole, x.axis, x.starts, -1, in_place=True)

    call.spend(2 * x.width / x.length, NUMBER * whole.numel())
    return call.differences(difference, x.window_shape, x.starts, x.axis, values=values, waiting=x.waiting + 1)


def addition(call: Call) -> Any:
    """Return the sum or the difference of two tensors."""
    found = _sum(call) if len(call.leaves) == 2 else None
    return elementwise(call) if found is None else found


def _sum(call: Call) -> Differences | None:
    """Return the sum of differences, of which one covers the other; None where there are no such."""
    x, y = call.leaves
    if not isinstance(x, Differences) or not isinstance(y, Differences):
        return None
    joined, whole = join([x, y]), call.reference()
    if joined is None or not (_alike(whole, x) and _alike(whole, y)):
        return None
    x_covers = x.width == joined[1] and torch.equal(x.starts, joined[0])
    wide, narrow = (x, y) if x_covers else (y, x)
    offsets = narrow.starts - wide.starts
    y_covers = y.width == joined[1] and torch.equal(y.starts, joined[0])
    if not (x_covers or y_covers) or bool((offsets != offsets[0]).any()):
        return None
    if not all(is_level(call.outputs, one.reference, one.axis) for one in (x, y)):
        return None
    minus = "sub" in call.name

    def difference() -> Tensor:
        found = wide.new_change()
        if minus and not x_covers:
            found.neg_()
        part = found.narrow(wide.axis, int(offsets[0]), narrow.width)
        part.add_(narrow.change(), alpha=-1.0 if minus and x_covers else 1.0)
        return found

    call.spend(3 * wide.width / wide.length, NUMBER * whole.numel())
    waiting = max(x.waiting, y.waiting) + 1
    return call.differences(difference, wide.window_shape, wide.starts, wide.axis, waiting=waiting)


def _alike(whole: Tensor, x: Windows) -> bool:
    """Return whether a result of the reference has the shape and the dtype of an argument, and no other."""
    return whole.shape == x.reference.shape and whole.dtype == x.reference.dtype and whole.is_floating_point()
