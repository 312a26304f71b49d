"""Elementwise functions as one operation each, explained by its secant, and special functions written with them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.errors import UnsupportedOperation


@as_operation
def elementwise(x: Tensor, function: Function) -> Tensor:
    """Return ``function(x)`` as one operation; where the input does not change, autograd finds the slope."""
    return function(x)  # type: ignore[no-any-return]


@as_operation
def slopeless(x: Tensor, function: Function) -> Tensor:
    """Return ``function(x)`` as one operation of which PyTorch knows no derivative; its slope counts as 0."""
    return function(x)  # type: ignore[no-any-return]


def no_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return 0: the slope of what PyTorch cannot differentiate, and of steps."""
    return torch.zeros_like(x)


def relu_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 where x > 0, else 0."""
    return (x > 0).to(x.dtype)


def relu_secant(x1: Tensor, x0: Tensor) -> Tensor:
    """Return the secant of relu between `x0` and `x1`, which broadcast, and its slope at `x1` where they are equal.

    With t = min(x0, 0) it is x1 / (x1 - t) where x1 > 0, and with t = max(x0, 0) it is t / (t - x1) elsewhere. These
    divide the same differences as ``elementwise.secant`` does, so the bits are the same, but neither quotient is 0 / 0:
    no mask is needed, only bounds that are as small as `x1`.

    Examples
    --------
    >>> relu_secant(torch.tensor([3.0, -1.0, 2.0, 0.0]), torch.tensor([-1.0, 3.0, 2.0, 0.0]))
    tensor([0.7500, 0.7500, 1.0000, 0.0000])
    """
    below, above, lowest, highest = _secant_bounds(x1)
    return torch.clamp(x0, below, above).div_(torch.clamp(x0, lowest, highest).sub_(x1))


def relu_vjp(grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
    """Return `grad` times :func:`relu_secant`, found for so many references at a time as there are sequences.

    What is in between is so small that it stays in the processor's cache. For finite numbers the secant is the larger
    one over the size of their difference, between 0 and 1: the same quotient, with fewer operands.

    Parameters
    ----------
    grad, x0 : torch.Tensor, shape (n * sequences, ...)
    x1 : torch.Tensor, shape (sequences, ...)
    """
    found, room, least = torch.empty_like(x0), torch.empty_like(x1), torch.finfo(x1.dtype).tiny
    for some, x, out in zip(*(torch.split(one, len(x1)) for one in (grad, x0, found)), strict=True):
        step = torch.sub(x1, x, out=room).abs_()
        if bool(step.sum().isfinite()):  # `least` counts only where both are 0
            torch.maximum(x, x1, out=out).div_(step.add_(least)).clamp_(0, 1).mul_(some)
        else:
            torch.mul(relu_secant(x1, x), some, out=out)
    return found


def _secant_bounds(x1: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the bounds of `x0` in the numerator of the secant of relu, and in the first term of its denominator."""
    most, least = torch.finfo(x1.dtype).max, torch.finfo(x1.dtype).tiny
    y1 = x1.relu()
    on = y1.sign()
    # All bounds, because comparisons and masks take several times as long as arithmetic on a CPU.
    above = torch.rsub(on, most, alpha=most)
    # At least the smallest number where x1 <= 0, which counts only where both are 0.
    return -y1, above - y1, torch.rsub(on, least, alpha=most), above


def exp_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return exp(x)."""
    return y.clone()


def sigmoid_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return s(x) * s(-x) for the sigmoid s."""
    return y * torch.sigmoid(-x)


def tanh_slope(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - tanh(x) ** 2, with the digits that this difference loses where tanh(x) is nearly 1 or -1."""
    e = torch.exp(x.abs() * -2)
    return 4 * e / (1 + e).square_()


def sigmoid_at(x: Tensor) -> Tensor:
    """Return the slope of the sigmoid."""
    return sigmoid_slope(x, torch.sigmoid(x))


def tanh_at(x: Tensor) -> Tensor:
    """Return the slope of tanh."""
    return tanh_slope(x, x)


def igamma(input: Tensor, other: Tensor) -> Tensor:
    """Return the lower incomplete gamma function."""
    return _differentiable_in_second("igamma", torch.igamma, input, other)


def igammac(input: Tensor, other: Tensor) -> Tensor:
    """Return the upper incomplete gamma function."""
    return _differentiable_in_second("igammac", torch.igammac, input, other)


def zeta(input: Any, other: Any) -> Tensor:
    """Return Hurwitz's zeta function."""
    return _differentiable_in_second("zeta", torch.special.zeta, input, other)


def remainder(input: Any, other: Any) -> Tensor:
    """Return the remainder that has the sign of the divisor."""
    if _is_one_dependent(input, other):
        return _apply_to_one(torch.remainder, input, other, differentiable=0)
    return input - other * torch.div(input, other, rounding_mode="floor")  # type: ignore[no-any-return]


def reversed_remainder(input: Any, other: Any) -> Tensor:
    """Return the remainder of `other` divided by `input`."""
    return remainder(other, input)


def fmod(input: Any, other: Any) -> Tensor:
    """Return the remainder that has the sign of the dividend."""
    if _is_one_dependent(input, other):
        return _apply_to_one(torch.fmod, input, other, differentiable=0)
    return input - other * torch.div(input, other, rounding_mode="trunc")  # type: ignore[no-any-return]


def _is_one_dependent(*operands: Any) -> bool:
    return sum(_depends(one) for one in operands) == 1


def _depends(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _apply_to_one(function: Function, a: Any, b: Any, differentiable: int) -> Tensor:
    """Return ``function(a, b)``, of which one operand depends on the input.

    PyTorch knows the derivative by operand number `differentiable` alone.
    """
    dependent = 0 if _depends(a) else 1
    like = (a, b)[dependent]
    a, b = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        *(
            one if isinstance(one, Tensor) else torch.as_tensor(one, dtype=like.dtype, device=like.device)
            for one in (a, b)
        )
    )
    wrap = elementwise if dependent == differentiable else slopeless
    y: Tensor = wrap((a, b)[dependent], (lambda x: function(x, b)) if dependent == 0 else (lambda x: function(a, x)))
    return y


def _differentiable_in_second(name: str, function: Function, a: Any, b: Any) -> Tensor:
    if not _is_one_dependent(a, b):
        raise UnsupportedOperation(
            f"{name} with two operands that depend on the input has no rule, and PyTorch knows no derivative of it: "
            "replace the operation, or detach one of them."
        )
    return _apply_to_one(function, a, b, differentiable=1)
