"""Pooling: a change goes to every window of the pool that sees it, wherever the stride has placed that."""

from __future__ import annotations

import math
from typing import Any

from torch.nn import functional as F

from seqlight.prediction.changed_windows.call import Call
from seqlight.prediction.changed_windows.memory_layout import as_image, has_channels_last
from seqlight.prediction.changed_windows.pointwise import NUMBER
from seqlight.prediction.changed_windows.sliding import Slide
from seqlight.prediction.convolution_padding import whole_numbers


def max_pool(call: Call) -> Any:
    """Return max pooling, with no indices."""
    if call.argument(6, "return_indices", False):
        return None
    return _pool(call, call.argument(3, "padding", 0), call.argument(4, "dilation", 1), -math.inf)


def average_pool(call: Call) -> Any:
    """Return average pooling, where every window has the same number of positions."""
    padding = call.argument(3, "padding", 0)
    if call.argument(4, "ceil_mode", False) or call.argument(6, "divisor_override") is not None:
        return None
    padded = any(whole_numbers(padding, 3) or [1])
    return None if padded and not call.argument(5, "count_include_pad", True) else _pool(call, padding, None, 0.0)


def _pool(call: Call, padding: Any, dilation: Any, fill: float) -> Any:
    x, spatial = call.input, int(call.name[-2])
    if x is None or x.reference.ndim != spatial + 2 or x.axis < 2:
        return None
    kernel = whole_numbers(call.argument(1, "kernel_size"), spatial)
    stride = call.argument(2, "stride")
    strides = whole_numbers(stride, spatial) if stride else kernel
    paddings = whole_numbers(padding, spatial)
    dilations = whole_numbers(1 if dilation is None else dilation, spatial)
    if kernel is None or strides is None or paddings is None or dilations is None:
        return None
    along, whole = x.axis - 2, call.reference()
    length = whole.shape[x.axis]
    slide = Slide(kernel[along], strides[along], dilations[along], paddings[along], fill)
    found = slide.outputs(x, length)
    if found is None:
        return None
    paddings[along] = 0
    others = {} if dilation is None else {"dilation": tuple(dilations)}
    inputs = slide.inputs(x, *found, length)
    if spatial == 1 and has_channels_last(inputs):
        pool: Any = F.max_pool2d if call.name == "max_pool1d" else F.avg_pool2d
        others = {name: (1, *given) for name, given in others.items()}
        values = pool(as_image(inputs), (1, *kernel), (1, *strides), (0, *paddings), **others).squeeze(2)
    else:
        values = call.func(inputs, tuple(kernel), tuple(strides), tuple(paddings), **others)
    call.spend(found[1] / length, 3 * NUMBER * x.reference.numel())
    return call.windows(values, found[0], x.axis, whole)
