"""Convolutions of float32 on the CPU that are faster than PyTorch's own, and differ from them by rounding alone.

PyTorch's are made for many channels, and models of sequences begin with four. Where there are many, six products do for
twelve, also with gaps between the taps. A convolution stays linear, so no rule is needed: only the same result, and the
same gradient, sooner.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.packed_weights import Weight, keeps, packed, takes
from seqlight.attribution.kernels.strided_convolution import Steps, apart, of_weight, together
from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run

# From this many taps on sums for one side of 16 channels are cheap beside the products, however few the other has.
WIDE = 9
# Groups of taps that are farther apart would have too much laid beside each panel.
CLOSE = 4
# From this many channels on sums of them are cheap beside their products, and PyTorch's own as fast as the direct way.
MANY = 16
# Up to this many are convolved here also in steps, of which each has its phases as further channels.
FEW = 8


class Way(Enum):
    """How the loops convolve: one product after the other, or fewer products of sums, which round more."""

    DIRECT = 0
    FAST = 1


class Layout(NamedTuple):
    """Padding before the first position, dilation, how many more positions come out than go in, and the way.

    With `steps`, all of this is of the phases.
    """

    padding: int
    dilation: int
    more: int
    way: Way
    steps: Steps | None = None


class Convolution(RuleFunction):
    """A convolution over positions, whose gradient at the input is another one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layout: Layout) -> Tensor:
        """Return the output."""
        mine = Weight.of(weight)
        ctx.save_for_backward(mine.data)
        ctx.owner, ctx.layout = weight, layout
        if layout.steps is not None:
            x, mine = apart(x, layout.steps), _phases(mine, layout.steps)
        if keeps():  # before there are large tensors, between which it would lie
            _laid(mine, layout.way, turned=True)
        return _convolved(x, mine, bias, layout)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (data,), layout, (grad,) = ctx.saved_tensors, ctx.layout, grads
        weight = Weight(data, ctx.owner)
        if layout.steps is None:
            return _convolved(grad, weight, None, layout, turned=True), None, None, None
        phases = _convolved(grad, _phases(weight, layout.steps), None, layout, turned=True)
        return together(phases, layout.steps), None, None, None


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
    return Convolution.apply(input, weight, bias, layout)  # type: ignore[no-any-return]


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
    return Convolution.apply(input, weight, bias, layout)  # type: ignore[no-any-return]


def _layout(
    x: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, Any, Any, int], n: int
) -> Layout | None:
    """Return how to convolve here, or None for PyTorch's own."""
    stride, padding, dilation, groups = settings
    if not takes(x, weight, *(() if bias is None else (bias,))) or x.ndim != n + 2 or weight.ndim != n + 2:
        return None
    strides, dilations, paddings = _each(stride, n), _each(dilation, n), _each(padding, n)
    if not len(strides) == len(dilations) == len(paddings) == n or (
        bias is not None and bias.shape != weight.shape[:1]
    ):
        return None
    reach, before = dilations[-1] * (weight.shape[-1] - 1), paddings[-1]
    if padding == "same":
        before, more, above = reach // 2, 0, 0
    elif padding == "valid":
        before, more, above = 0, -reach, 0
    elif isinstance(padding, str):
        return None
    else:
        more, above = 2 * before - reach, 0 if n == 1 else paddings[0]
    one_row = n == 1 or (x.shape[2] == weight.shape[2] == 1 and above == 0)
    fits = groups == 1 and weight.shape[1] == x.shape[1] and x.shape[-1] + more > 0 and before >= 0
    if not (one_row and fits and dilations[-1] > 0):
        return None
    if strides[-1] != 1:
        plain = dilations[-1] == 1 and padding != "same"  # which PyTorch refuses, in its own words
        return _in_steps(x, weight, strides[-1], before, more) if plain else None
    way = _way(weight.shape[1], weight.shape[0], weight.shape[-1], dilations[-1], x.shape[-1] + more)
    return None if way is None else Layout(before, dilations[-1], more, way)


def _in_steps(x: Tensor, weight: Tensor, stride: int, padding: int, more: int) -> Layout | None:
    """Return how to convolve phases here, or None for PyTorch's own, which is as fast for many channels."""
    if weight.shape[1] > FEW or stride < 1 or _way(1, 1, 1, 1, 1) is None:
        return None
    width, taps = (x.shape[-1] + more - 1) // stride + 1, -(-weight.shape[-1] // stride)
    steps = Steps(stride, padding, x.shape[-1], width + taps - 1)
    return Layout(0, 1, 1 - taps, Way.DIRECT, steps)


def _phases(weight: Weight, steps: Steps) -> Weight:
    kind = type(weight.owner)
    return Weight.of(packed(weight, ("phases", steps.stride), lambda: of_weight(weight.data, steps.stride, kind)))


def _each(setting: Any, n: int) -> list[Any]:
    """Return the setting of each dimension."""
    given = list(setting) if isinstance(setting, (tuple, list)) else [setting]
    return given * n if len(given) == 1 else given


def _way(channels: int, outputs: int, taps: int, dilation: int, width: int) -> Way | None:
    """Return the quickest way, as measured, or None for PyTorch's own; the same for however many rows."""
    native = library()
    if not has_lanes(native):
        return None
    enough = (max(channels, outputs) if taps >= WIDE else min(channels, outputs)) >= MANY
    near = taps <= 3 or dilation <= CLOSE
    if enough and near and native.fast_products(width, taps, dilation) <= 0.75 * taps:
        return Way.FAST
    return Way.DIRECT if min(channels, outputs) < MANY else None


def _convolved(x: Tensor, weight: Weight, bias: Tensor | None, layout: Layout, turned: bool = False) -> Tensor:
    """Return the convolution of `x`, of shape (rows, channels, [1,] positions); `turned`, the one that goes back.

    It has to be no view, for a model may write to it.
    """
    native = library()
    assert native is not None
    x, bias = x.contiguous(), None if bias is None else bias.contiguous()
    (outputs, channels), taps = weight.data.shape[:2], weight.data.shape[-1]
    padding, dilation, more, way, _ = layout
    if turned:
        outputs, channels = channels, outputs
        padding, more = dilation * (taps - 1) - padding, -more
    (rows, length), width, fast = (x.shape[0], x.shape[-1]), x.shape[-1] + more, way is Way.FAST
    laid = _laid(weight, way, turned)
    out = x.new_empty((rows, outputs, *x.shape[2:-1], width))
    numbers = rows, channels, length, outputs, width, taps, dilation, padding, fast
    panels = native.convolution_panels(rows, width, taps, dilation, fast)
    # A register of products takes about as long as an entry of a pass over memory.
    run("convolve_panels", (x, laid, bias, out), numbers, panels, out.numel() * channels * taps // 16)
    return out


def _laid(weight: Weight, way: Way, turned: bool) -> Tensor:
    return packed(weight, (way, turned), lambda: _packed(weight.data, way is Way.FAST, turned))


def _packed(weight: Tensor, fast: bool, turned: bool) -> Tensor:
    """Return the weights as the loops take them."""
    native = library()
    assert native is not None
    weight = weight.contiguous()
    (outputs, channels), taps, first = weight.shape[:2], weight.shape[-1], weight
    steps = channels * taps, taps, 1
    if turned:
        first = weight.view(-1)[taps - 1 :]  # the last tap, from which the steps go back
        outputs, channels, steps = channels, outputs, (taps, channels * taps, -1)
    found = weight.new_empty(native.packed_weights(channels, outputs, taps, fast))
    sizes = channels, outputs, taps, *steps, fast
    run("pack_weights", (first, found), sizes, native.weight_groups(outputs), found.numel())
    return found
