"""Compiled convolutions of float32 over positions, faster than PyTorch's own: ``native/convolution.c``.

PyTorch's are made for many channels, and models of sequences begin with four. For many channels, six products do for
twelve (Winograd's minimal filtering), dilated or not. A convolution is linear, so it needs no rule, only the same
result and the same gradient in less time. Both differ from PyTorch's by rounding alone.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.packed_weights import Weight, pack_once, stores_packed_weights, suits_packed
from seqlight.attribution.kernels.strided_convolution import Phases, join_phases, split_phases, split_weight
from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run
from seqlight.prediction.convolution_padding import of_each_dimension, padded_sides

# The fast algorithm adds up channels to save products. From this many channels on the sums cost little beside the
# products, and PyTorch's own convolution is as fast as the direct algorithm.
MANY_CHANNELS = 16
# From this many taps on the sums cost little if inputs or outputs are so many, rather than both.
MANY_TAPS = 9
# At larger dilations the fast algorithm would need too much of the input beside each panel.
LARGEST_DILATION = 4
# A strided convolution of up to this many channels is faster here.
FEW_CHANNELS = 8


class Algorithm(Enum):
    """How the loops convolve: directly, or with fewer products, of sums, which round more."""

    DIRECT = 0
    FAST = 1


class Plan(NamedTuple):
    """How to convolve: padding before the first position, dilation, growth in positions, and the algorithm.

    With `phases`, all of these describe the convolution of the phases.
    """

    padding: int
    dilation: int
    growth: int
    algorithm: Algorithm
    phases: Phases | None = None


class Convolution(RuleFunction):
    """A convolution over positions, whose gradient at the input is a transposed convolution."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan) -> Tensor:
        """Return the output."""
        mine = Weight.from_owner(weight)
        ctx.save_for_backward(mine.data)
        ctx.owner, ctx.plan = weight, plan
        if plan.phases is not None:
            x, mine = split_phases(x, plan.phases), _phase_weight(mine, plan.phases)
        if stores_packed_weights():  # now, before large tensors are made, between which it would lie
            _pack_once(mine, plan.algorithm, transposed=True)
        return _convolve(x, mine, bias, plan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (data,), plan, (grad,) = ctx.saved_tensors, ctx.plan, grads
        weight = Weight(data, ctx.owner)
        if plan.phases is None:
            return _convolve(grad, weight, None, plan, transposed=True), None, None, None
        at_phases = _convolve(grad, _phase_weight(weight, plan.phases), None, plan, transposed=True)
        return join_phases(at_phases, plan.phases), None, None, None


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
    >>> import torch
    >>> x, weight = torch.ones(1, 4, 6), torch.ones(2, 4, 3)
    >>> conv1d(x, weight, padding=1)[0, 0]
    tensor([ 8., 12., 12., 12., 12.,  8.])
    """
    plan = _plan(input, weight, bias, (stride, padding, dilation, groups), 1)
    if plan is None:
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    return Convolution.apply(input, weight, bias, plan)  # type: ignore[no-any-return]


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Return ``torch.conv2d`` of the same arguments, except for rounding; it is faster for images one row high."""
    plan = _plan(input, weight, bias, (stride, padding, dilation, groups), 2)
    if plan is None:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    return Convolution.apply(input, weight, bias, plan)  # type: ignore[no-any-return]


def _plan(x: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, Any, Any, int], n: int) -> Plan | None:
    """Return how to convolve `n` dimensions here, or None for PyTorch's own."""
    if not has_lanes(library()):
        return None
    stride, padding, dilation, groups = settings
    if not suits_packed(x, weight, bias) or x.ndim != n + 2 or weight.ndim != n + 2:
        return None
    strides, dilations = of_each_dimension(stride, n), of_each_dimension(dilation, n)
    if not len(strides) == len(dilations) == n or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    sides = padded_sides(padding, weight.shape[2:], dilations)
    if sides is None or len(sides) != n:
        return None
    before, after = sides[-1]
    growth = before + after - dilations[-1] * (weight.shape[-1] - 1)
    one_row = n == 1 or (x.shape[2] == weight.shape[2] == 1 and sides[0] == (0, 0))
    fits = groups == 1 and weight.shape[1] == x.shape[1] and x.shape[-1] + growth > 0 and before >= 0
    if not (one_row and fits and dilations[-1] > 0):
        return None
    if strides[-1] != 1:
        plain = dilations[-1] == 1 and padding != "same"  # which PyTorch refuses, in its own words
        return _strided_plan(x, weight, strides[-1], before, growth) if plain else None
    algorithm = _algorithm(weight.shape[1], weight.shape[0], weight.shape[-1], dilations[-1], x.shape[-1] + growth)
    return None if algorithm is None else Plan(before, dilations[-1], growth, algorithm)


def _strided_plan(x: Tensor, weight: Tensor, stride: int, padding: int, growth: int) -> Plan | None:
    """Return how to convolve phases here, or None for PyTorch's own, which is as fast for many channels."""
    if weight.shape[1] > FEW_CHANNELS or stride < 1 or _algorithm(1, 1, 1, 1, 1) is None:
        return None
    width, taps = (x.shape[-1] + growth - 1) // stride + 1, -(-weight.shape[-1] // stride)
    phases = Phases(stride, padding, x.shape[-1], width + taps - 1)
    return Plan(0, 1, 1 - taps, Algorithm.DIRECT, phases)


def _phase_weight(weight: Weight, phases: Phases) -> Weight:
    stride, kind = phases.stride, type(weight.owner)
    return Weight.from_owner(pack_once(weight, ("phases", stride), lambda: split_weight(weight.data, stride, kind)))


@lru_cache(maxsize=4096)
def _algorithm(channels: int, outputs: int, taps: int, dilation: int, width: int) -> Algorithm | None:
    """Return the fastest algorithm, as measured, or None for PyTorch's own, whatever the number of rows."""
    native = library()
    if not has_lanes(native):
        return None
    many = (max(channels, outputs) if taps >= MANY_TAPS else min(channels, outputs)) >= MANY_CHANNELS
    compact = taps <= 3 or dilation <= LARGEST_DILATION
    if many and compact and native.fast_products(width, taps, dilation) <= 0.75 * taps:
        return Algorithm.FAST
    return Algorithm.DIRECT if min(channels, outputs) < MANY_CHANNELS else None


def _convolve(x: Tensor, weight: Weight, bias: Tensor | None, plan: Plan, transposed: bool = False) -> Tensor:
    """Return the convolution of `x`, of shape (rows, channels, [1,] positions), or the transposed one.

    The result is no view, because a model may write to it.
    """
    x, bias = x.contiguous(), None if bias is None else bias.contiguous()
    (outputs, channels), taps = weight.data.shape[:2], weight.data.shape[-1]
    padding, dilation, growth, algorithm, _ = plan
    if transposed:
        outputs, channels = channels, outputs
        padding, growth = dilation * (taps - 1) - padding, -growth
    (rows, length), width, fast = (x.shape[0], x.shape[-1]), x.shape[-1] + growth, algorithm is Algorithm.FAST
    packed = _pack_once(weight, algorithm, transposed)
    out = x.new_empty((rows, outputs, *x.shape[2:-1], width))
    numbers = rows, channels, length, outputs, width, taps, dilation, padding, fast
    panels = _panels(rows, width, taps, dilation, fast)
    # A register of products takes about as long as one number of a pass over memory.
    run("convolve_panels", (x, packed, bias, out), numbers, panels, out.numel() * channels * taps // 16)
    return out


@lru_cache(maxsize=4096)
def _panels(rows: int, width: int, taps: int, dilation: int, fast: bool) -> int:
    """Return how many panels the loops divide a convolution into."""
    native = library()
    assert native is not None
    return int(native.convolution_panels(rows, width, taps, dilation, fast))


def _pack_once(weight: Weight, algorithm: Algorithm, transposed: bool) -> Tensor:
    fast = algorithm is Algorithm.FAST
    return pack_once(weight, (algorithm, transposed), lambda: _pack(weight.data, fast, transposed))


def _pack(weight: Tensor, fast: bool, transposed: bool) -> Tensor:
    """Return the weights in the layout that the loops take."""
    native = library()
    assert native is not None
    weight = weight.contiguous()
    (outputs, channels), taps, first = weight.shape[:2], weight.shape[-1], weight
    steps = channels * taps, taps, 1
    if transposed:
        first = weight.view(-1)[taps - 1 :]  # the last tap, from which the steps go back
        outputs, channels, steps = channels, outputs, (taps, channels * taps, -1)
    found = weight.new_empty(native.packed_weights(channels, outputs, taps, fast))
    sizes = channels, outputs, taps, *steps, fast
    run("pack_weights", (first, found), sizes, native.weight_groups(outputs), found.numel())
    return found
