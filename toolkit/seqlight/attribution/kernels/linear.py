"""Linear layers of float32 at many positions on the CPU, which differ from PyTorch's by rounding alone.

A layer stays linear, so no rule is needed: only the same result, and the same gradient, sooner.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.packed_weights import Weight, keeps, packed, takes
from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run

# From this many channels on registers are full, and up to this many weights they stay in the cache.
FEWEST, MOST = 16, 2**18


class Linear(RuleFunction):
    """A linear layer, whose gradient at the input is another one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the output."""
        mine = Weight.of(weight)
        ctx.save_for_backward(mine.data)
        ctx.owner = weight
        if keeps():  # before there are large tensors, between which it would lie
            _laid(mine, turned=True)
        return _mapped(x, mine, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (data,) = ctx.saved_tensors
        return _mapped(grads[0], Weight(data, ctx.owner), None, turned=True), None, None


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``torch.nn.functional.linear`` of the same arguments, except for rounding.

    Examples
    --------
    >>> linear(torch.ones(1, 2, 16), torch.ones(16, 16), torch.ones(16))[0, :, 0]
    tensor([17., 17.])
    """
    if not _here(input, weight, bias):
        return F.linear(input, weight, bias)
    return Linear.apply(input, weight, bias)  # type: ignore[no-any-return]


def _here(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Return whether it is done here: the same for however many rows and positions."""
    return (
        has_lanes(library())
        and takes(x, weight, *(() if bias is None else (bias,)))
        and x.ndim > 2
        and weight.ndim == 2
        and x.shape[-1] == weight.shape[1]
        and min(weight.shape) >= FEWEST
        and weight.numel() <= MOST
        and (bias is None or bias.shape == weight.shape[:1])
    )


def _mapped(x: Tensor, weight: Weight, bias: Tensor | None, turned: bool = False) -> Tensor:
    """Return the layer at `x`, of shape (..., channels); `turned`, the one that goes back."""
    outputs, channels = reversed(weight.data.shape) if turned else weight.data.shape
    x, bias = x.contiguous(), None if bias is None else bias.contiguous()
    laid = _laid(weight, turned)
    out = x.new_empty((*x.shape[:-1], outputs))
    # A register of products takes about as long as an entry of a pass over memory.
    run("linear_layers", (x, laid, bias, out), (channels, outputs), x.numel() // channels, out.numel() * channels // 16)
    return out


def _laid(weight: Weight, turned: bool) -> Tensor:
    return packed(weight, ("linear", turned), lambda: _packed(weight.data, turned))


def _packed(weight: Tensor, turned: bool) -> Tensor:
    """Return the weights as the loops take them."""
    native = library()
    assert native is not None
    outputs, channels = weight.shape
    steps = channels, 1
    if turned:
        outputs, channels, steps = channels, outputs, (1, channels)
    found = weight.new_empty(native.packed_layers(channels, outputs))
    sizes = channels, outputs, *steps
    run("pack_layers", (weight.contiguous(), found), sizes, native.layer_panels(outputs), found.numel())
    return found
