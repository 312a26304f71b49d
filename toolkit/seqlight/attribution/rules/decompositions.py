"""Operations written in simpler ones, which have rules. Each runs with the mode on, so its parts are explained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.rules.attention import attended
from seqlight.attribution.rules.fused import attends_at_once
from seqlight.attribution.rules.layer_norm import standardised_over_last
from seqlight.attribution.rules.reductions import amax, amin, dimensions, gathered, kept, logsumexp_over, softmax
from seqlight.attribution.rules.special_functions import elementwise, slopeless
from seqlight.errors import UnsupportedOperation

broadcast: Any = torch.broadcast_tensors


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> Tensor:
    """Subtract the mean, multiply with the reciprocal root of the variance."""
    lead, fixed = input.ndim - len(tuple(normalized_shape)), [weight, bias]
    if any(one is not None and one.requires_grad for one in fixed):
        return _affine(_standardised(input.flatten(lead), eps).reshape(input.shape), weight, bias)
    flat = [None if one is None else one.flatten() for one in fixed]
    return standardised_over_last(input.flatten(lead), *flat, eps).reshape(input.shape)  # type: ignore[no-any-return]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Multiply with the reciprocal root of the mean square."""
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    dims = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(input * torch.rsqrt((input * input).mean(dims, keepdim=True) + eps), weight, None)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> Tensor:
    """Standardise each group of channels of each row."""
    y = _standardised(input.reshape(len(input), num_groups, -1), eps).reshape(input.shape)
    return _affine(y, *(None if one is None else _by_channel(one, input) for one in (weight, bias)))


def instance_norm(
    input: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> Tensor:
    """Standardise each channel of each row, or take the running statistics."""
    if use_input_stats:
        y = _standardised(input.flatten(2), eps).reshape(input.shape)
    else:
        assert running_mean is not None
        assert running_var is not None
        y = (input - _by_channel(running_mean, input)) * torch.rsqrt(_by_channel(running_var, input) + eps)
    return _affine(y, *(None if one is None else _by_channel(one, input) for one in (weight, bias)))


def _standardised(x: Tensor, eps: float) -> Tensor:
    return standardised_over_last(x, None, None, eps)  # type: ignore[no-any-return]


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = x if weight is None else x * weight
    return y if bias is None else y + bias


def _by_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """One half times the sigmoid of the other."""
    a, b = input.chunk(2, dim)
    return a * torch.sigmoid(b)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Multiply with the reciprocal."""
    y: Tensor = input * torch.reciprocal(other)
    return y if rounding_mode is None else {"floor": torch.floor, "trunc": torch.trunc}[rounding_mode](y)


def floor_divide(input: Any, other: Any) -> Tensor:
    """Round a quotient down."""
    return div(input, other, rounding_mode="floor")


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """Add a quotient."""
    return input + value * (tensor1 * torch.reciprocal(tensor2))


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Choose between the two."""
    y: Tensor = torch.where(mask, value, input)
    return y


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Take the larger of it and the one bound, and the smaller of that and the other."""
    y = input if min is None else torch.maximum(input, torch.as_tensor(min, dtype=input.dtype, device=input.device))
    return y if max is None else torch.minimum(y, torch.as_tensor(max, dtype=input.dtype, device=input.device))


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """Take the logsumexp of the two."""
    y: Tensor = logsumexp_over(torch.stack(broadcast(input, other), dim=-1), -1)
    return y


def xlogy(input: Tensor, other: Tensor) -> Tensor:
    """Multiply with the logarithm, or where that is by 0, with that of 1."""
    return input * torch.log(torch.where(input == 0, torch.ones_like(other), other))


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """Take the root of the sum of squares."""
    return torch.sqrt(input * input + other * other)


def magnitude(input: Tensor) -> tuple[Function, tuple[Tensor, Tensor]] | None:
    """Return the absolute value of a complex tensor as one operation on its parts, or None for a real one."""
    return (torch.hypot, (input.real, input.imag)) if input.is_complex() else None


def argument(input: Tensor) -> tuple[Function, tuple[Tensor, Tensor]] | None:
    """Return the angle of a complex tensor as one operation on its parts, or None for a real one."""
    return (torch.atan2, (input.imag, input.real)) if input.is_complex() else None


def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """Multiply one half with the other until one is left."""
    dims = dimensions(input, dim)
    y = gathered(input if dtype is None else input.to(dtype), dims)
    while y.shape[-1] > 1:
        half = y.shape[-1] // 2
        y = torch.cat([y[..., :half] * y[..., half : 2 * half], y[..., 2 * half :]], dim=-1)
    return kept(y.squeeze(-1), input, dims) if keepdim else y.squeeze(-1)


def cumprod(input: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Multiply with what lies 1, 2, 4 ... places before."""
    y, step = (input if dtype is None else input.to(dtype)).movedim(dim, -1), 1
    while step < y.shape[-1]:
        y = torch.cat([y[..., :step], y[..., step:] * y[..., :-step]], dim=-1)
        step *= 2
    return y.movedim(-1, dim)


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Take the root of a sum of powers."""
    x, dims = (x if dtype is None else x.to(dtype)), dimensions(x, dim)
    if abs(ord) == math.inf:
        return (amax if ord > 0 else amin)(x.abs(), dims, keepdim)
    if ord == 0:
        return slopeless(x, lambda x: (x != 0).to(x.dtype)).sum(dims, keepdim)  # type: ignore[no-any-return]
    if ord == 1:
        return x.abs().sum(dims, keepdim)
    if ord == 2:
        return _power((x * x).sum(dims, keepdim), 0.5)
    return _power(_power(x.abs(), ord).sum(dims, keepdim), 1 / ord)


def _power(x: Tensor, exponent: float) -> Tensor:
    """Raise what is never negative to a power, flat where that stays 0: a root would have no number as its slope."""
    y: Tensor = elementwise(x, lambda x: torch.where(x > 0, torch.where(x > 0, x, 1) ** exponent, x * 0))
    return y


def var(input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None) -> Any:
    """Take the mean square distance from the mean."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dims = dimensions(input, dim)
    centred = input - input.mean(dims, keepdim=True)
    n = math.prod(input.shape[one] for one in dims)
    return (centred * centred).sum(dims, keepdim) / max(n - (int(unbiased) if correction is None else correction), 0)


def std(*args: Any, **kwargs: Any) -> Tensor:
    """Take the root of the variance."""
    return _power(var(*args, **kwargs), 0.5)


def var_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Take the variance and the mean."""
    y = var(input, *args, **kwargs)
    return y, _mean_like(input, y, *args, **kwargs)


def std_mean(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Take the root of the variance, and the mean."""
    y = std(input, *args, **kwargs)
    return y, _mean_like(input, y, *args, **kwargs)


def _mean_like(x: Tensor, y: Tensor, dim: Any = None, *_: Any, **__: Any) -> Tensor:
    return x.mean(dimensions(x, None if isinstance(dim, bool) else dim), keepdim=True).reshape(y.shape)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """Take the norm of the difference."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Divide the product by both lengths, each of at least `eps`."""
    a, b = (torch.clamp_min(vector_norm(x, dim=dim), eps) for x in broadcast(x1, x2))
    return (x1 * x2).sum(dim) * torch.reciprocal(a * b)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Scaled dot-product attention: two products and a softmax."""
    if enable_gqa:
        key, value = (one.repeat_interleave(query.shape[-3] // one.shape[-3], -3) for one in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -math.inf)
    # A position that sees nothing gets zeros, not what a softmax of nothing is.
    blind = None if attn_mask is None else (attn_mask == -math.inf).all(dim=-1, keepdim=True)
    if attn_mask is not None and blind is not None and bool(blind.any()):
        return attention(query, key, value, attn_mask.masked_fill(blind, 0), dropout_p, scale=scale).masked_fill(
            blind, 0
        )
    if not dropout_p and attends_at_once(query, key, value, attn_mask):
        return attended(query, key, value, attn_mask, scale)  # type: ignore[no-any-return]
    # The queries are scaled, not the scores, of which there are more.
    scores = (query * scale) @ key.transpose(-2, -1)
    scores = scores if attn_mask is None else scores + attn_mask
    return dropout(softmax(scores, -1), dropout_p) @ value


def dropout(input: Tensor, p: float = 0.5, training: bool = True, *_: Any, train: bool = True) -> Tensor:
    """Return `input`, unless it is left on."""
    if p and training and train:
        raise UnsupportedOperation("dropout is on even in evaluation mode: pass training=self.training to it")
    return input
