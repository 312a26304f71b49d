"""Convolutions over positions in PyTorch's own kernels, with the channels of a position side by side in memory.

PyTorch's convolutions on a CPU compute so, whatever they are given: tensors that lie otherwise are rearranged before
and after each. This takes as long as half of the products where there are few channels, or a large dilation. Between
convolutions whose results stay as they lie, nothing is rearranged. This serves CPUs without the compiled loops.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.packed_weights import Weight, pack_once, suits_packed
from seqlight.prediction.convolution_padding import even_padding, of_each_dimension

# Up to so many input channels, the gradient is one product of matrices for all taps, whose results are then shifted
# and added: PyTorch's own needs more products for channels that are not there.
FEW_CHANNELS = 8
# From this many channels on they fill a register.
MANY_CHANNELS = 16
# Products of a row from which on what lies how matters more than the calls that arrange it.
MANY_PRODUCTS = 2**20
# Terms of a sum from which on it takes less time to arrange what is given, and what is found, than is saved.
MANY_TERMS = 1024
# At most so many numbers of the product of matrices lie in memory at a time.
MOST_NUMBERS = 2**22


class Plan(NamedTuple):
    """How to convolve.

    Attributes
    ----------
    padding : int
        Before the first and after the last position.
    dilation : int
    has_few_channels : bool
        Whether the gradient is faster here even if the result lies as usual.
    has_many_terms : bool
        Whether so much is computed of each number that it may be put where it lies best.
    arranges : bool
        Whether the result shall lie with channels last.
    """

    padding: int
    dilation: int
    has_few_channels: bool
    has_many_terms: bool
    arranges: bool = False


class ChannelsLastConvolution(RuleFunction):
    """A convolution over positions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan) -> Tensor:
        """Return the output."""
        mine = Weight.from_owner(weight)
        ctx.save_for_backward(mine.data)
        ctx.owner, ctx.plan = weight, plan
        if not plan.arranges:
            return F.conv1d(x.detach(), mine.data, bias, padding=plan.padding, dilation=plan.dilation)
        return _convolve(x.detach(), _arrange_once(mine, transposed=False), bias, plan.padding, plan.dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (data,), (padding, dilation), (grad,) = ctx.saved_tensors, ctx.plan[:2], grads
        weight, reach = Weight(data, ctx.owner), dilation * (data.shape[-1] - 1)
        if ctx.plan.has_few_channels:
            return _shift_and_add(grad, weight, padding, dilation), None, None, None
        found = _convolve(grad, _arrange_once(weight, transposed=True), None, reach - padding, dilation)
        return found, None, None, None


def plan_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Plan | None:
    """Return how to make a call of ``torch.conv1d`` here, or None where that gains nothing; rows do not matter."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):  # type: ignore[no-untyped-call]
        return None
    if not suits_packed(x, weight, bias) or x.ndim != 3 or weight.ndim != 3:
        return None
    outputs, channels, taps = weight.shape
    gaps = of_each_dimension(dilation, 1)
    if of_each_dimension(stride, 1) != (1,) or groups != 1 or x.shape[1] != channels or len(gaps) != 1:
        return None
    (gap,) = gaps
    both = even_padding(padding, (taps,), gaps) if isinstance(gap, int) and gap > 0 else None
    if both is None or len(both) != 1 or not isinstance(both[0], int):
        return None
    (side,), reach = both, gap * (taps - 1)
    if not 0 <= side <= reach or x.shape[2] + 2 * side <= reach:
        return None
    if bias is not None and bias.shape != (outputs,):
        return None
    few = channels <= FEW_CHANNELS
    if outputs < MANY_CHANNELS or not (few or channels >= MANY_CHANNELS):
        return None
    if weight.numel() * x.shape[2] < MANY_PRODUCTS:
        return None
    return Plan(side, gap, few, channels * taps >= MANY_TERMS)


def convolve(plan: Plan, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``torch.conv1d`` of the same arguments, except for rounding.

    Parameters
    ----------
    plan : Plan
        What :func:`plan_convolution` returned for the same arguments; it may arrange, or not.
    x : torch.Tensor, shape (rows, channels, positions)
    weight : torch.Tensor, shape (outputs, channels, taps)
    bias : torch.Tensor, shape (outputs,), optional
    """
    return ChannelsLastConvolution.apply(x, weight, bias, plan)  # type: ignore[no-any-return]


def lies_channels_last(x: Tensor) -> bool:
    """Return whether a tensor fills its memory with channels last, and in no other order.

    Examples
    --------
    >>> x = torch.zeros(2, 3, 4)
    >>> lies_channels_last(x), lies_channels_last(arrange_channels_last(x))
    (False, True)
    """
    return x.ndim == 3 and not x.is_contiguous() and x.mT.is_contiguous()


def arrange_channels_last(x: Tensor) -> Tensor:
    """Return `x` of shape (rows, channels, positions), or a copy of it, with the channels of a position together."""
    return x.mT.contiguous().mT


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int) -> Tensor:
    y = F.conv2d(arrange_channels_last(x).unsqueeze(2), weight, bias, padding=(0, padding), dilation=(1, dilation))
    return y.squeeze(2).data  # no view, because a model may write to it


def _arrange_once(weight: Weight, transposed: bool) -> Tensor:
    """Return weights with channels last, of the convolution or of its gradient."""

    def arrange() -> Tensor:
        data = weight.data.flip(2).transpose(0, 1) if transposed else weight.data
        return data.mT.contiguous()

    return pack_once(weight, ("channels last", transposed), arrange).mT.unsqueeze(2)


def _shift_and_add(grad: Tensor, weight: Weight, padding: int, dilation: int) -> Tensor:
    """Return the gradient at an input of few channels."""
    (rows, _, width), (outputs, channels, taps) = grad.shape, weight.data.shape
    taps_first = pack_once(weight, "taps first", lambda: weight.data.permute(2, 1, 0).reshape(-1, outputs))
    found = grad.new_zeros(rows, channels, width + dilation * (taps - 1))
    at_once = max(1, MOST_NUMBERS // (taps * channels * width))
    for some, to in zip(torch.split(grad, at_once), torch.split(found, at_once), strict=True):
        products = torch.matmul(taps_first, some).view(len(some), taps, channels, width)
        for tap in range(taps):
            to[..., tap * dilation : tap * dilation + width] += products[:, tap]
    return found[..., padding : found.shape[2] - padding].contiguous()
