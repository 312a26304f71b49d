"""Operations that treat each position alone: what changed stays where it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.prediction.changed_windows.call import Call, of_axis
from seqlight.prediction.changed_windows.cancellation import is_level
from seqlight.prediction.changed_windows.differences import Differences
from seqlight.prediction.changed_windows.memory_layout import as_image, has_channels_last
from seqlight.prediction.changed_windows.windows import Windows, cut, join

# A number that is read and written takes as long as so many multiplications of a convolution.
NUMBER = 8.0


def elementwise(call: Call) -> Any:
    """Return windows that cover those of all arguments, which broadcast as in full."""
    changed = call.changed
    joined = join(changed)
    if joined is None or any(one.reference.ndim != changed[0].reference.ndim for one in changed):
        return None
    starts, width = joined
    leaves = []
    for one in call.leaves:
        if isinstance(one, Windows):
            one = one.at(starts, width)
        elif isinstance(one, Tensor):
            one = _constant(one, changed[0], starts, width)
            if one is None:
                return None
        leaves.append(one)
    aligned = 3 if len(changed) > 1 else 1
    call.spend(aligned * width / changed[0].length, NUMBER * changed[0].reference.numel())
    return call.windows(call.replaced(leaves), starts, changed[0].axis)


def _constant(one: Tensor, beside: Windows, starts: Tensor, width: int) -> Tensor | None:
    """Return what an argument that did not change is at the windows; None if it may differ between rows."""
    missing = beside.reference.ndim - one.ndim
    if missing < 0 or (not missing and one.shape[0] != 1):
        return None
    axis = beside.axis - missing
    if axis < 0 or one.shape[axis] == 1:
        return one
    if one.shape[axis] != beside.length:
        return None
    return cut(one[(None,) * missing], beside.axis, starts, width)


def concatenation(call: Call) -> Any:
    """Return tensors beside one another, in a dimension that is neither that of rows nor that of positions."""
    changed = call.changed[0]
    dim = of_axis(call.argument(1, "dim", call.argument(1, "axis", 0)), changed.reference.ndim)
    return None if dim in (0, changed.axis) else elementwise(call)


def with_weights(call: Call, each: float = NUMBER) -> Any:
    """Return the operation on the windows of its first argument; the others are not along positions."""
    x = call.input
    if x is None:
        return None
    y = call.windows(call.replaced([x.values, *call.leaves[1:]]), x.starts, x.axis)
    if y is not None:
        call.spend(x.width / x.length, each * x.reference.numel())
    return y


def along(call: Call) -> Any:
    """Return an operation along a dimension that is neither that of rows nor that of positions, such as softmax."""
    x, dim = call.input, call.argument(1, "dim", -1)
    if x is None or not isinstance(dim, int) or of_axis(dim, x.reference.ndim) in (0, x.axis):
        return None
    return with_weights(call)


def partition(call: Call) -> Any:
    """Return the parts of a tensor along a dimension that is neither that of rows nor that of positions."""
    x, dim = call.input, call.argument(2, "dim", 0)
    if x is None or of_axis(dim, x.reference.ndim) in (0, x.axis):
        return None
    return with_weights(call)


def linear(call: Call) -> Any:
    """Return a linear layer that is applied at each position."""
    x, weight = call.input, call.argument(1, "weight")
    if x is None or x.axis == x.reference.ndim - 1 or not isinstance(weight, Tensor):
        return None
    return with_weights(call, float(len(weight)) + NUMBER)


def matrix_product(call: Call) -> Any:
    """Return the product with a matrix of weights, applied at each position."""
    x, weight = call.input, call.argument(1, "other", call.argument(1, "mat2"))
    if x is None or x.axis >= x.reference.ndim - 1 or not isinstance(weight, Tensor) or weight.ndim != 2:
        return None
    return with_weights(call, float(weight.shape[1]) + NUMBER)


def batch_norm(call: Call) -> Any:
    """Return normalization by running statistics of channels."""
    x = call.input
    train = call.argument(5, "training", False) or call.argument(1, "running_mean") is None
    if x is None or train or x.axis == 1:
        return None
    call.spend(x.width / x.length, NUMBER * x.reference.numel())
    if isinstance(x, Differences) and call.func is F.batch_norm and is_level(call.outputs, x.reference, x.axis):
        args, kwargs = call.arguments
        given = {**dict(zip(_NORM, args[1:], strict=False)), **kwargs}
        mean = torch.zeros_like(given["running_mean"])
        y = _as_images(partial(F.batch_norm, **{**given, "running_mean": mean, "bias": None}), x.change())
        return call.differences(y, y.shape, x.starts, x.axis)
    values = _as_images(lambda one: call.replaced([one, *call.leaves[1:]]), x.values)
    return call.windows(values, x.starts, x.axis)


_NORM = "running_mean running_var weight bias training momentum eps".split()


def _as_images(func: Callable[[Tensor], Tensor], one: Tensor) -> Tensor:
    """Return a function of windows, in the layout that they have."""
    return func(as_image(one)).squeeze(2) if has_channels_last(one) else func(one)


def layer_norm(call: Call) -> Any:
    """Return normalization at each position."""
    x, shape = call.input, call.argument(1, "normalized_shape")
    over = len(shape) if isinstance(shape, tuple | list) else 1
    return None if x is None or x.axis >= x.reference.ndim - over else with_weights(call)


def prelu(call: Call) -> Any:
    """Return PReLU, whose slopes belong to channels."""
    x = call.input
    return None if x is None or x.axis == 1 else with_weights(call)


def dropout(call: Call) -> Any:
    """Return the tensor itself: nothing is dropped in evaluation mode."""
    return None if call.input is None or call.argument(2, "training", call.argument(2, "train", True)) else call.input


def same(call: Call) -> Any:
    """Return the tensor itself."""
    return call.input
