"""Convolutions: a change widens by the kernel."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.prediction.changed_windows.call import Call
from seqlight.prediction.changed_windows.cancellation import keeps_digits
from seqlight.prediction.changed_windows.memory_layout import as_image, channels_last, prefers_channels_last
from seqlight.prediction.changed_windows.pointwise import NUMBER
from seqlight.prediction.changed_windows.sliding import Slide
from seqlight.prediction.changed_windows.three_taps import ThreeTaps, suits
from seqlight.prediction.changed_windows.windows import PlainWindows, Windows, cut
from seqlight.prediction.convolution_padding import even_padding, whole_numbers

# Where each argument of a convolution is, and what it is by default.
NAMES = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}

# Windows of so few positions are multiplied by matrices, which takes no longer, and far less time for few channels.
NARROW = 8


def convolution(call: Call) -> Any:
    """Return a convolution of the windows, with what lies around them."""
    x, weight, bias = call.input, call.argument(1, "weight"), call.argument(2, "bias")
    if x is None or not isinstance(weight, Tensor) or x.axis < 2 or x.reference.ndim != weight.ndim:
        return None
    spatial, along = weight.ndim - 2, x.axis - 2
    given = {name: call.argument(i + 3, name, default) for i, (name, default) in enumerate(NAMES.items())}
    stride, dilation = whole_numbers(given["stride"], spatial), whole_numbers(given["dilation"], spatial)
    if stride is None or dilation is None:
        return None
    padding = whole_numbers(even_padding(given["padding"], weight.shape[2:], dilation), spatial)
    if padding is None:
        return None
    whole = call.reference()
    slide = Slide(weight.shape[x.axis], stride[along], dilation[along], padding[along])
    length = whole.shape[x.axis]
    found = slide.outputs(x, length)
    if found is None:
        return None
    each_full = whole.numel() * (weight[0].numel() + NUMBER) + 2 * NUMBER * x.reference.numel()
    if set(stride) == {1} and slide.span > 1:
        y = _of_change(call, x, slide, found, Geometry(padding, dilation, given["groups"]))
        if y is not None:
            work = x.width * weight[0].numel() + NUMBER * (found[1] + 2 * x.width)
            call.spend(work * whole.numel() / length / each_full, each_full)
            return y
    padding[along] = 0
    values = call.func(
        slide.inputs(x, *found, length), weight, bias, tuple(stride), tuple(padding), tuple(dilation), given["groups"]
    )
    call.spend(found[1] / length, each_full)
    return call.windows(values, found[0], x.axis, whole)


class Geometry(NamedTuple):
    """How a kernel without strides lies on its input, for each dimension."""

    padding: list[int]
    dilation: list[int]
    groups: int

    def transposed_padding(self, weight: Tensor, along: int) -> list[int]:
        """Return the padding of the transposed convolution with this kernel; none along positions."""
        sizes = zip(weight.shape[2:], self.dilation, self.padding, strict=True)
        return [0 if i == along else (size - 1) * step - pad for i, (size, step, pad) in enumerate(sizes)]


def _of_change(call: Call, x: Windows, slide: Slide, found: tuple[Tensor, int], geometry: Geometry) -> Windows | None:
    """Return what the change adds to the output for the reference; None where this cannot be had so.

    Every position that changed adds to all outputs that see it, as in a transposed convolution: less work than to
    compute these outputs anew from all that they see.
    """
    weight, groups = call.argument(1, "weight"), geometry.groups
    starts, width = found
    offsets = starts - (x.starts + slide.left - slide.span + 1)
    first, reach = int(offsets.min()), x.width + slide.span - 1
    padding = geometry.transposed_padding(weight, x.axis - 2)
    if min(padding) < 0:
        return None
    if not keeps_digits(call, x):
        return None
    whole, change = call.reference(), x.change()
    as_images = call.name == "conv1d" and prefers_channels_last(change)
    simple = 0 <= first == int(offsets.max()) <= reach - width
    if as_images:
        change, whole = channels_last(change), call.outputs.channels_last(whole)
        if simple and groups == 1 and suits(change, weight, whole, slide.dilation):
            made = ThreeTaps(change, weight, slide.dilation, whole, starts, first, width, call.outputs.weights)
            kept = made.plain() if made.is_kept else made.plain
            later = {} if made.is_kept else {"rectified": made.rectified, "waiting": 1}
            return call.differences(kept, made.shape, starts, x.axis, whole, **later)
    if as_images:
        added = _add_channels_last(call, change, weight, slide, geometry)
    else:
        kernel = call.outputs.weights.find(weight, ("turned", groups), partial(_turned, groups=groups))
        transposed = F.conv_transpose1d if call.name == "conv1d" else F.conv_transpose2d
        added = transposed(change, kernel, None, 1, padding, 0, groups, geometry.dilation)
    if simple:
        added = added.narrow(x.axis, first, width)
        return call.differences(added, added.shape, starts, x.axis)
    # Some rows add to outputs that are not there, before the first or after the last.
    margin = max(reach, width) + slide.span
    begin = starts - offsets + margin
    around = call.outputs.surrounded(whole, x.axis, margin)
    wider = PlainWindows(around, added.add_(cut(around, x.axis, begin, reach)), begin, x.axis)
    y: Windows | None = call.windows(wider.at(starts + margin, width), starts, x.axis)
    return y


def _add_channels_last(call: Call, change: Tensor, weight: Tensor, slide: Slide, geometry: Geometry) -> Tensor:
    """Return what a change with channels last adds to all outputs that see it, along one dimension."""
    weights, groups, width = call.outputs.weights, geometry.groups, change.shape[2]
    if groups == 1 and width <= NARROW:
        call.outputs.note(width * slide.kernel * len(weight), 0)
        return _by_position(change.mT, weights.find(weight, "by position", _side_by_side), slide)
    kernel = weights.find(weight, ("turned image", groups), partial(_turned_image, groups=groups))
    return F.conv_transpose2d(as_image(change), kernel, None, 1, 0, 0, groups, (1, *geometry.dilation)).squeeze(2)


def _by_position(change: Tensor, matrix: Tensor, slide: Slide) -> Tensor:
    """Return the sum of what each position of a change (rows, width, channels) adds to the outputs that see it."""
    rows, width, channels = change.shape
    each = (change.reshape(-1, channels) @ matrix).view(rows, width, slide.kernel, -1)
    if width == 1 == slide.dilation:
        return each[:, 0].mT
    added = each.new_zeros(rows, width + slide.span - 1, each.shape[3])
    for i in range(width):
        added[:, i : i + slide.span : slide.dilation] += each[:, i]
    return added.mT


def _side_by_side(weight: Tensor) -> Tensor:
    """Return the kernel as a matrix that makes of a position all outputs that see it, the first one first."""
    return weight.flip(2).permute(1, 2, 0).flatten(1).contiguous()


def _turned(weight: Tensor, groups: int) -> Tensor:
    """Return the kernel of the transposed convolution that adds what an input gives to outputs."""
    each_group = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    return each_group.flip(*range(2, weight.ndim)).contiguous()


def _turned_image(weight: Tensor, groups: int) -> Tensor:
    """Return the same for images of a single line."""
    return _turned(weight, groups).unsqueeze(2).contiguous(memory_format=torch.channels_last)
