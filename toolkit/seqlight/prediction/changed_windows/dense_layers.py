"""Dense layers on all positions: the output takes the change, by the weights of the positions that changed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.prediction.changed_windows.call import Call
from seqlight.prediction.changed_windows.cancellation import keeps_digits
from seqlight.prediction.changed_windows.pointwise import NUMBER
from seqlight.prediction.changed_windows.windows import Windows

# Larger weights, 64 MiB of them in float32, are not copied into another layout.
LARGEST = 2**24


def dense(call: Call) -> Any:
    """Return a linear layer that takes what was flattened; the result is whole."""
    x, weight = call.flat, call.argument(1, "weight")
    if x is None or not isinstance(weight, Tensor) or weight.numel() > LARGEST:
        return None
    if weight.ndim != 2 or not keeps_digits(call, x.windows):
        return None
    one = x.windows
    sizes = one.reference.shape[1:]
    by_position = call.outputs.weights.find(
        weight,
        ("by position", one.axis, sizes),
        lambda w: w.reshape(-1, *sizes).movedim(one.axis, 0).flatten(2).mT.contiguous(),
    )
    change = one.change().movedim(one.axis, 1).flatten(1)
    found = call.reference().repeat(one.rows, 1)
    for rows, start in _runs(one):
        found[rows].addmm_(change[rows], by_position[start : start + one.width].flatten(0, 1))
    weights = by_position[: one.width]
    each = weight.numel() + 2 * NUMBER * x.reference.numel()
    call.spend((weights.numel() + NUMBER * len(weight)) / each, each)
    return found


def _runs(one: Windows) -> list[tuple[slice, int]]:
    """Return the rows that follow one another with windows that begin at the same place, and that place."""
    if one.together:
        return [(slice(0, one.rows), int(one.starts))]
    starts, counts = torch.unique_consecutive(one.starts, return_counts=True)
    ends = counts.cumsum(0).tolist()
    return [(slice(a, b), start) for a, b, start in zip([0, *ends], ends, starts.tolist(), strict=False)]


def elementwise(call: Call) -> Any:
    """Return a function of each number of what was flattened."""
    x = call.flat
    if x is None or any(isinstance(one, Tensor) for one in call.leaves):
        return None
    values = call.replaced([x.windows.values, *call.leaves[1:]])
    reference = call.reference()
    same = values.shape == x.windows.values.shape and reference.shape == x.reference.shape
    call.spend(x.windows.width / x.windows.length, NUMBER * reference.numel())
    return x.like(values, reference) if same else None


def same(call: Call) -> Any:
    """Return the tensor itself: nothing is dropped in evaluation mode."""
    keeps = call.name in ("contiguous", "detach")
    return call.flat if keeps or not call.argument(2, "training", call.argument(2, "train", True)) else None
