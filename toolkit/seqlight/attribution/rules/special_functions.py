"""Elementwise functions that are ours to choose, as one operation each, explained by its secant."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.calls.function_bodies import operation
from seqlight.errors import UnsupportedOperation


@operation
def elementwise(x: Tensor, function: Function) -> Tensor:
    """Return ``function(x)``; its slope where nothing changes is autograd's."""
    return function(x)  # type: ignore[no-any-return]


@operation
def slopeless(x: Tensor, function: Function) -> Tensor:
    """Return ``function(x)``, of which PyTorch knows no derivative: 0 where nothing changes."""
    return function(x)  # type: ignore[no-any-return]


def no_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return the slope that :func:`slopeless` is given."""
    return torch.zeros_like(x)


def relu_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 where x > 0, else 0."""
    return (x > 0).to(x.dtype)


def exp_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return exp(x)."""
    return y.clone()


def sigmoid_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return s(x) * s(-x) for the sigmoid s."""
    return y * torch.sigmoid(-x)


def tanh_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - tanh(x) ** 2 with the digits that the difference loses where tanh is nearly 1 or -1."""
    e = torch.exp(x.abs() * -2)
    return 4 * e / (1 + e).square_()


def igamma(input: Tensor, other: Tensor) -> Tensor:
    """Lower incomplete gamma function."""
    return _half_known(torch.igamma, input, other) if _one(input, other) else _refused("igamma")


def igammac(input: Tensor, other: Tensor) -> Tensor:
    """Upper incomplete gamma function."""
    return _half_known(torch.igammac, input, other) if _one(input, other) else _refused("igammac")


def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz's zeta function."""
    return _half_known(torch.special.zeta, input, other) if _one(input, other) else _refused("zeta")


def remainder(input: Any, other: Any) -> Tensor:
    """Remainder of the sign of the divisor."""
    if _one(input, other):
        return _half_known(torch.remainder, input, other, known=0)
    return input - other * torch.div(input, other, rounding_mode="floor")  # type: ignore[no-any-return]


def reversed_remainder(input: Any, other: Any) -> Tensor:
    """Remainder by the first operand."""
    return remainder(other, input)


def fmod(input: Any, other: Any) -> Tensor:
    """Remainder of the sign of the dividend."""
    if _one(input, other):
        return _half_known(torch.fmod, input, other, known=0)
    return input - other * torch.div(input, other, rounding_mode="trunc")  # type: ignore[no-any-return]


def _one(*operands: Any) -> bool:
    return sum(_live(one) for one in operands) == 1


def _live(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _half_known(function: Function, a: Any, b: Any, known: int = 1) -> Tensor:
    """Return a function of two operands, one live, of which PyTorch knows the derivative in that at `known` alone."""
    live = 0 if _live(a) else 1
    like = (a, b)[live]
    a, b = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        *(
            one if isinstance(one, Tensor) else torch.as_tensor(one, dtype=like.dtype, device=like.device)
            for one in (a, b)
        )
    )
    operation_ = elementwise if live == known else slopeless
    y: Tensor = operation_((a, b)[live], (lambda x: function(x, b)) if live == 0 else (lambda x: function(a, x)))
    return y


def _refused(name: str) -> Tensor:
    raise UnsupportedOperation(
        f"{name} with two operands that depend on the input has no rule, and PyTorch knows no derivative of it: "
        "replace the operation, or detach one of them"
    )
