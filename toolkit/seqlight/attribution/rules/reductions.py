"""Maxima and minima over dimensions, as max pooling over all of a row; and how any reduction handles its dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.calls.function_bodies import as_operation

Dimensions = int | Sequence[int] | None


@as_operation
def max_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima over the last dimension, which stays with size 1, and their positions."""
    found = torch.max(x, dim=-1, keepdim=True)
    return found.values, found.indices


def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Return the maxima over one dimension, several, or all."""
    dims = dimensions(input, dim)
    y: Tensor = max_over_last(flatten_last(input, dims))[0]
    return keep_dimensions(y.squeeze(-1), input, dims) if keepdim else y.squeeze(-1)


def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Return the minima over one dimension, several, or all."""
    return -amax(-input, dim, keepdim)


def max_(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Return the maximum of all, the maxima and their positions over a dimension, or the larger of two tensors."""
    return _extreme(input, dim, keepdim, other, torch.maximum, torch.return_types.max, 1)


def min_(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Return the minimum of all, the minima and their positions over a dimension, or the smaller of two tensors."""
    return _extreme(input, dim, keepdim, other, torch.minimum, torch.return_types.min, -1)


def _extreme(x: Tensor, dim: Any, keepdim: bool, other: Any, binary: Function, result: Any, sign: int) -> Any:
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return binary(x, other)
    if dim is None:
        return sign * amax(sign * x)
    values, indices = max_over_last((sign * x).movedim(dim, -1))
    found = [one if keepdim else one.squeeze(dim) for one in (sign * values.movedim(-1, dim), indices.movedim(-1, dim))]
    return result(found)


def dimensions(x: Tensor, dim: Dimensions) -> tuple[int, ...]:
    """Return the dimensions that `dim` means, counted from 0; none stands for all."""
    if dim is None or (not isinstance(dim, int) and not len(dim)) or not x.ndim:
        return tuple(range(x.ndim))
    return tuple(one % x.ndim for one in ((dim,) if isinstance(dim, int) else dim))


def flatten_last(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Return `x` with `dims` flattened into a new last dimension."""
    return x.movedim(tuple(dims), tuple(range(-len(dims), 0))).flatten(-len(dims))


def keep_dimensions(y: Tensor, x: Tensor, dims: Sequence[int]) -> Tensor:
    """Return `y`, which is `x` reduced over `dims`, with these as dimensions of size 1."""
    return y.reshape([1 if i in dims else size for i, size in enumerate(x.shape)])
