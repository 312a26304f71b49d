"""Convolutions: a change widens by the kernel."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqlight.prediction.changed_windows.call import Call
from seqlight.prediction.changed_windows.pointwise import NUMBER
from seqlight.prediction.changed_windows.sliding import Slide

# Where each argument of a convolution is, and what it is by default.
NAMES = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}


def convolution(call: Call) -> Any:
    """Return a convolution of the windows, with what lies around them."""
    x, weight, bias = call.input, call.argument(1, "weight"), call.argument(2, "bias")
    if x is None or not isinstance(weight, Tensor) or x.axis < 2 or x.reference.ndim != weight.ndim:
        return None
    spatial, along = weight.ndim - 2, x.axis - 2
    given = {name: call.argument(i + 3, name, default) for i, (name, default) in enumerate(NAMES.items())}
    stride, dilation = each(given["stride"], spatial), each(given["dilation"], spatial)
    padding = _padding(given["padding"], weight, dilation)
    if padding is None or stride is None or dilation is None:
        return None
    whole = call.reference()
    slide = Slide(weight.shape[x.axis], stride[along], dilation[along], padding[along])
    length = whole.shape[x.axis]
    found = slide.outputs(x, length)
    if found is None:
        return None
    padding[along] = 0
    values = call.func(
        slide.inputs(x, *found, length), weight, bias, tuple(stride), tuple(padding), tuple(dilation), given["groups"]
    )
    call.spend(found[1] / length, whole.numel() * (weight[0].numel() + NUMBER) + 2 * NUMBER * x.reference.numel())
    return call.windows(values, found[0], x.axis, whole)


def _padding(given: Any, weight: Tensor, dilation: list[int] | None) -> list[int] | None:
    """Return the padding before the first position of each dimension; None if there is more after the last."""
    spatial = weight.ndim - 2
    if given == "valid":
        return [0] * spatial
    if given == "same":
        both = [(size - 1) * step for size, step in zip(weight.shape[2:], dilation or [], strict=True)]
        return None if any(one % 2 for one in both) else [one // 2 for one in both]
    return each(given, spatial)


def each(given: Any, count: int) -> list[int] | None:
    """Return a number for each of `count` dimensions; None if this is not what was given.

    Examples
    --------
    >>> each(3, 2), each((1, 2), 2), each((4,), 2), each((1, 2, 3), 2)
    ([3, 3], [1, 2], [4, 4], None)
    """
    if isinstance(given, int):
        return [given] * count
    if (
        not isinstance(given, tuple | list)
        or len(given) not in (1, count)
        or not all(type(one) is int for one in given)
    ):
        return None
    return list(given) * (count if len(given) == 1 else 1)
