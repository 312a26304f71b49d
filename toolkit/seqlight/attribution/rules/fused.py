"""Which calls are one operation of ours, mostly: what that is, and its arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.rules.attention import attended
from seqlight.attribution.rules.layer_norm import standardised_over_last

Whole = tuple[Function, tuple[Any, ...]]


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> Whole | None:
    """Return the one operation that it is, and its arguments, where it is one over the last dimension."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        torch.layer_norm(input, shape, weight, bias, eps)  # raises, in PyTorch's words
    fixed = not any(one is not None and one.requires_grad for one in (weight, bias))
    at_once = input.requires_grad and fixed and len(shape) == 1
    return (standardised_over_last, (input, weight, bias, eps)) if at_once else None


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Whole | None:
    """Return the one operation that it is, and its arguments, where there is no mask."""
    if attn_mask is not None or dropout_p or is_causal or enable_gqa or not attends_at_once(query, key, value, None):
        return None
    return attended, (query, key, value, None, 1 / math.sqrt(query.shape[-1]) if scale is None else scale)


def attends_at_once(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Return whether attention can be explained as one operation."""
    each = (query, key, value)
    return (
        all(one.requires_grad and one.dtype == query.dtype and one.ndim == query.ndim > 2 for one in each)
        and all(one.shape[:-2] == query.shape[:-2] for one in each)
        and query.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled(query.device.type)
        and not (mask is not None and mask.requires_grad)
    )
