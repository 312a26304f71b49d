"""Arithmetic and statistics written in simpler operations, which have rules: quotients, bounds, products, variances.

Each function takes what PyTorch's of its name takes. It runs under the mode of the engine, so its parts are explained.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.rules.norms import power
from seqlight.attribution.rules.quotient import quotient
from seqlight.attribution.rules.reductions import dimensions, flatten_last, keep_dimensions
from seqlight.attribution.rules.softmax import logsumexp_over
from seqlight.attribution.rules.special_functions import slopeless
from seqlight.errors import UnsupportedOperation


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return one half of the input times the sigmoid of the other half."""
    a, b = input.chunk(2, dim)
    return a * torch.sigmoid(b)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return the positive part of the input, and the negative one times a weight of its channel."""
    if weight.numel() > 1 and input.ndim > 1:
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    return torch.relu(input) - weight * torch.relu(-input)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Return a quotient, rounded or not."""
    y: Tensor = quotient(input, other)
    return y if rounding_mode is None else {"floor": torch.floor, "trunc": torch.trunc}[rounding_mode](y)


def reversed_div(input: Any, other: Any) -> Tensor:
    """Return `other` divided by `input`."""
    return div(other, input)


def floor_divide(input: Any, other: Any) -> Tensor:
    """Return the quotient, rounded down."""
    return div(input, other, rounding_mode="floor")


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """Return `input` plus a multiple of a quotient."""
    y: Tensor = input + value * quotient(tensor1, tensor2)
    return y


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Return `input` with `value` where `mask` is true."""
    y: Tensor = torch.where(mask, value, input)
    return y


def fused_setitem(input: Tensor, key: Any, value: Any) -> Any:
    """Return the call of ``masked_fill_`` that ``input[key] = value`` is, if `key` is a mask and `value` a number."""
    if not (isinstance(key, Tensor) and key.dtype == torch.bool and key.shape == input.shape[: key.ndim]):
        return None
    if isinstance(value, Tensor):
        if value.ndim or value.requires_grad:
            return None
        value = value.to(input.dtype)
    return Tensor.masked_fill_, (input, key.view(*key.shape, *[1] * (input.ndim - key.ndim)), value)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Return `input` between two bounds."""
    y = input if min is None else torch.maximum(input, torch.as_tensor(min, dtype=input.dtype, device=input.device))
    return y if max is None else torch.minimum(y, torch.as_tensor(max, dtype=input.dtype, device=input.device))


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """Return the logsumexp of two tensors."""
    both = torch.broadcast_tensors(input, other)  # type: ignore[no-untyped-call]
    y: Tensor = logsumexp_over(torch.stack(both, dim=-1), -1)
    return y


def copysign(input: Tensor, other: Tensor) -> Tensor:
    """Return the magnitude of `input` times the sign of `other`, which may be that of a zero."""
    return torch.abs(input) * torch.copysign(torch.ones_like(other).detach(), other)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """Return 0 below 0, 1 above it, and `values` where `input` is 0."""
    # Not a choice by `input == 0`: it may change while both of what is chosen from stay the same.
    y: Tensor = slopeless(input, lambda x: (x > 0).to(x.dtype)) + values * slopeless(
        input, lambda x: (x == 0).to(x.dtype)
    )
    return y


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Return the complex numbers of these lengths and angles."""
    return torch.complex(abs * torch.cos(angle), abs * torch.sin(angle))


def xlogy(input: Tensor, other: Tensor) -> Tensor:
    """Return ``input * log(other)``, and 0 where `input` is 0."""
    nothing = (input == 0) & ((other <= 0) | (other == torch.inf))
    return input * torch.log(torch.where(nothing, torch.ones_like(other), other))


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """Return the root of the sum of two squares."""
    return torch.sqrt(input * input + other * other)


def fused_abs(input: Tensor) -> tuple[Function, tuple[Tensor, Tensor]] | None:
    """Return ``hypot`` and its arguments for the absolute value of a complex tensor, or None for a real one."""
    return (torch.hypot, (input.real, input.imag)) if input.is_complex() else None


def fused_angle(input: Tensor) -> tuple[Function, tuple[Tensor, Tensor]] | None:
    """Return ``atan2`` and its arguments for the angle of a complex tensor, or None for a real one."""
    return (torch.atan2, (input.imag, input.real)) if input.is_complex() else None


def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """Return the product: one half of the numbers times the other, until one is left."""
    dims = dimensions(input, dim)
    y = flatten_last(input if dtype is None else input.to(dtype), dims)
    while y.shape[-1] > 1:
        half = y.shape[-1] // 2
        y = torch.cat([y[..., :half] * y[..., half : 2 * half], y[..., 2 * half :]], dim=-1)
    return keep_dimensions(y.squeeze(-1), input, dims) if keepdim else y.squeeze(-1)


def cumprod(input: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Return the running product: each number times those 1, 2, 4 ... places before it."""
    y, step = (input if dtype is None else input.to(dtype)).movedim(dim, -1), 1
    while step < y.shape[-1]:
        y = torch.cat([y[..., :step], y[..., step:] * y[..., :-step]], dim=-1)
        step *= 2
    return y.movedim(-1, dim)


def var(input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Return the variance: the mean square of the differences from the mean."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dims = dimensions(input, dim)
    centred = input - input.mean(dims, keepdim=True)
    n = math.prod(input.shape[one] for one in dims)
    return (centred * centred).sum(dims, keepdim) / max(n - (int(unbiased) if correction is None else correction), 0)


def std(*args: Any, **kwargs: Any) -> Tensor:
    """Return the standard deviation."""
    return power(var(*args, **kwargs), 0.5)


def var_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Return the variance and the mean."""
    y = var(input, *args, **kwargs)
    return y, _mean_like(input, y, *args, **kwargs)


def std_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Return the standard deviation and the mean."""
    y = std(input, *args, **kwargs)
    return y, _mean_like(input, y, *args, **kwargs)


def _mean_like(x: Tensor, y: Tensor, dim: Any = None, *_: Any, **__: Any) -> Tensor:
    return x.mean(dimensions(x, None if isinstance(dim, bool) else dim), keepdim=True).reshape(y.shape)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, *_: Any, train: bool = True) -> Tensor:
    """Return `input`; raise UnsupportedOperation if dropout is on."""
    if p and training and train:
        raise UnsupportedOperation("dropout is on even in evaluation mode: pass training=self.training to it.")
    return input
