"""Convolutions of float32 on the CPU that are faster than PyTorch's own, and differ from them by rounding alone.

PyTorch's are fastest on many channels; those of genomics have four, or 64 and gaps between their taps. A
convolution stays linear, so no rule is needed: only the same product, and the same gradient, sooner.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seqlight.attribution.calls.recording import apply
from seqlight.native.library import library, over_rows

# Outputs whose weights lie side by side.
GROUP = 8
# From this many channels on both sides PyTorch's own are as fast.
MANY = 128


class Convolution(torch.autograd.Function):
    """A convolution over positions with stride 1, whose gradient at the input is another one."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int, more: int
    ) -> Tensor:
        """Return the output; `padding` before the first position, `more` positions than there are inputs."""
        ctx.save_for_backward(weight)
        ctx.layout = padding, dilation, more
        return _convolved(x, weight, bias, padding, dilation, more)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (weight,) = ctx.saved_tensors
        padding, dilation, more = ctx.layout
        turned = weight.transpose(0, 1).flip(-1)
        padding = dilation * (weight.shape[-1] - 1) - padding
        return _convolved(grads[0], turned, None, padding, dilation, -more), *[None] * 5


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Return ``torch.conv1d`` of the same arguments, except for rounding.

    Examples
    --------
    >>> x, weight = torch.ones(1, 4, 6), torch.ones(2, 4, 3)
    >>> conv1d(x, weight, padding=1)[0, 0]
    tensor([ 8., 12., 12., 12., 12.,  8.])
    """
    layout = _layout(input, weight, bias, (stride, padding, dilation, groups), 1)
    if layout is None:
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    return apply(Convolution, input, weight, bias, *layout)  # type: ignore[no-any-return]


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Return ``torch.conv2d`` of the same arguments, except for rounding; faster for images one row high."""
    layout = _layout(input, weight, bias, (stride, padding, dilation, groups), 2)
    if layout is None:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    return apply(Convolution, input, weight, bias, *layout)  # type: ignore[no-any-return]


def _layout(
    x: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, Any, Any, int], n: int
) -> tuple[int, int, int] | None:
    """Return padding, dilation and how many more positions come out than go in, or None for PyTorch's own."""
    stride, padding, dilation, groups = settings
    if not _suit(x, weight, *(() if bias is None else (bias,))) or x.ndim != n + 2 or weight.ndim != n + 2:
        return None
    strides, dilations = _each(stride, n), _each(dilation, n)
    reach = dilations[-1] * (weight.shape[-1] - 1)
    if isinstance(padding, str):
        before, both = [0] * (n - 1) + [reach // 2], reach
        if padding != "same":
            before, both = [0] * n, 0
    else:
        before = _each(padding, n)
        both = 2 * before[-1]
    more = both - reach
    one_row = n == 1 or (x.shape[2] == weight.shape[2] == 1 and before[0] == 0)
    fits = groups == 1 and weight.shape[1] == x.shape[1] and x.shape[-1] + more > 0 and min(before) >= 0
    if not (one_row and fits and strides[-1] == 1 and dilations[-1] > 0 and _pays(weight, x.shape[-1])):
        return None
    return before[-1], dilations[-1], more


def _each(setting: Any, n: int) -> list[int]:
    """Return the setting of each dimension."""
    given = list(setting) if isinstance(setting, (tuple, list)) else [setting]
    return given * n if len(given) == 1 else given


def _suit(*tensors: Tensor) -> bool:
    """Return whether these can be convolved here: the input, then the weights."""
    return (
        all(type(one) in (Tensor, nn.Parameter) and one.dtype == torch.float32 for one in tensors)
        and all(one.device.type == "cpu" and one.layout == torch.strided and one.numel() > 0 for one in tensors)
        and not any(one.requires_grad for one in tensors[1:])
        and not torch.is_autocast_enabled("cpu")
    )


def _pays(weight: Tensor, length: int) -> bool:
    """Return whether the loops are faster than PyTorch's own, as measured on both."""
    native = library()
    return native is not None and min(weight.shape[:2]) < MANY and native.convolution_panels(length) > 0


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int, more: int) -> Tensor:
    """Return the convolution of `x`, of shape (rows, channels, [1,] positions)."""
    native = library()
    assert native is not None
    x, width = x.contiguous(), x.shape[-1] + more
    (outputs, channels), taps = weight.shape[:2], weight.shape[-1]
    spare = -outputs % GROUP
    weight = F.pad(weight.reshape(outputs, channels, taps), (0, 0, 0, 0, 0, spare))
    packed = weight.view(-1, GROUP, channels, taps).permute(0, 2, 3, 1).contiguous()
    added = x.new_zeros(outputs + spare) if bias is None else F.pad(bias, (0, spare))
    out = x.new_empty((x.shape[0], outputs, *x.shape[2:-1], width))
    pointers = [tensor.data_ptr() for tensor in (x, packed, added, out)]
    tail = (channels, x.shape[-1], outputs, width, taps, dilation, padding)

    def work(first: int, last: int) -> None:
        if native.convolve_panels(*pointers, first, last, *tail):
            raise MemoryError("no memory for a panel of a convolution")

    over_rows(work, x.shape[0] * native.convolution_panels(width), out.numel())
    return out
