"""Compiled linear layers of float32 at many positions: ``native/linear.c``.

A layer needs no rule, only the same result and the same gradient in less time. Both differ from PyTorch's by rounding
alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.packed_weights import Weight, pack_once, stores_packed_weights, suits_packed
from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run

# From this many channels on registers are full, and up to this many weights stay in the cache.
FEWEST, MOST = 16, 2**18


class Linear(RuleFunction):
    """A linear layer, whose gradient at the input is another linear layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the output."""
        mine = Weight.from_owner(weight)
        ctx.save_for_backward(mine.data)
        ctx.owner = weight
        return _multiply(x, mine, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (data,), (grad,) = ctx.saved_tensors, grads
        if torch.is_grad_enabled():  # the gradient is to have a derivative, which the loops do not know
            return grad @ data, None, None
        return _multiply(grad, Weight(data, ctx.owner), None, transposed=True), None, None


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``torch.nn.functional.linear`` of the same arguments, except for rounding.

    Examples
    --------
    >>> import torch
    >>> linear(torch.ones(1, 2, 16), torch.ones(16, 16), torch.ones(16))[0, :, 0]
    tensor([17., 17.])
    """
    if not _suits(input, weight, bias):
        return F.linear(input, weight, bias)
    return Linear.apply(input, weight, bias)  # type: ignore[no-any-return]


def _suits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Return whether the loops take a layer; that does not depend on the number of rows and positions."""
    if weight.ndim != 2 or x.ndim < 3 or not has_lanes(library()):
        return False
    outputs, channels = weight.shape
    return (
        x.shape[-1] == channels
        and min(outputs, channels) >= FEWEST
        and outputs * channels <= MOST
        and (bias is None or bias.shape == (outputs,))
        and suits_packed(x, weight, bias)
    )


def _multiply(x: Tensor, weight: Weight, bias: Tensor | None, transposed: bool = False) -> Tensor:
    """Return the layer of `x`, of shape (..., channels), or the one with the transposed weight."""
    outputs, channels = weight.data.shape
    if transposed:
        outputs, channels = channels, outputs
    x, bias = x.contiguous(), None if bias is None else bias.contiguous()
    packed = _pack_once(weight, transposed)
    out = torch.empty_like(x) if outputs == channels else x.new_empty((*x.shape[:-1], outputs))
    # A register of products takes about as long as one number of a pass over memory.
    rows, entries = x.numel() // channels, out.numel() * channels // 16
    run("linear_layers", (x, packed, bias, out), (channels, outputs), rows, entries)
    return out


def _pack_once(weight: Weight, transposed: bool) -> Tensor:
    def pack_both() -> Tensor:
        # With the weights their transpose, before large tensors are made, between which it would lie.
        if stores_packed_weights() and not transposed:
            _pack_once(weight, transposed=True)
        return pack(weight.data, transposed)

    return pack_once(weight, ("linear", transposed), pack_both)


def pack(weight: Tensor, transposed: bool = False) -> Tensor:
    """Return the weights of a layer, or of the transposed one, in the layout that the loops take."""
    native = library()
    assert native is not None
    outputs, channels = weight.shape
    steps = channels, 1
    if transposed:
        outputs, channels, steps = channels, outputs, (1, channels)
    found = weight.new_empty(native.packed_layers(channels, outputs))
    sizes = channels, outputs, *steps
    run("pack_layers", (weight.contiguous(), found), sizes, native.layer_panels(outputs), found.numel())
    return found
