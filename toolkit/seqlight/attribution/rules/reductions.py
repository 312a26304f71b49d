"""Reductions and norms over dimensions, in simpler operations that have rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.calls.function_bodies import operation

Dimensions = int | Sequence[int] | None


@operation
def softmax_over(x: Tensor, dim: int) -> Tensor:
    """Return the softmax over one dimension."""
    return torch.softmax(x, dim)


@operation
def log_softmax_over(x: Tensor, dim: int) -> Tensor:
    """Return the log_softmax over one dimension."""
    return torch.log_softmax(x, dim)


@operation
def logsumexp_over(x: Tensor, dim: int) -> Tensor:
    """Return the logsumexp over one dimension, which is gone."""
    return torch.logsumexp(x, dim)


@operation
def max_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima over the last dimension, which stays, and where they are."""
    found = torch.max(x, dim=-1, keepdim=True)
    return found.values, found.indices


def softmax(input: Tensor, dim: int | None = None, *more: Any, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    """Softmax in any of its spellings."""
    return softmax_over(*_normaliser(input, dim, more, dtype))  # type: ignore[no-any-return]


def log_softmax(
    input: Tensor, dim: int | None = None, *more: Any, dtype: torch.dtype | None = None, **_: Any
) -> Tensor:
    """Log_softmax in any of its spellings."""
    return log_softmax_over(*_normaliser(input, dim, more, dtype))  # type: ignore[no-any-return]


def _normaliser(x: Tensor, dim: int | None, more: Any, dtype: torch.dtype | None) -> tuple[Tensor, int]:
    # F.softmax has a stack level where torch.softmax has the dtype.
    dtype = next((one for one in more if isinstance(one, torch.dtype)), dtype)
    if dim is None:
        dim = 0 if x.ndim in (0, 1, 3) else 1
    return (x if dtype is None else x.to(dtype)), dim


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """Logsumexp over one dimension or several."""
    dims = dimensions(input, dim)
    y: Tensor = logsumexp_over(gathered(input, dims), -1)
    return kept(y, input, dims) if keepdim else y


def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Take the largest over one dimension, several, or all."""
    dims = dimensions(input, dim)
    y: Tensor = max_over_last(gathered(input, dims))[0]
    return kept(y.squeeze(-1), input, dims) if keepdim else y.squeeze(-1)


def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Take the smallest."""
    return -amax(-input, dim, keepdim)


def max_(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Take the larger of two, the largest of all, or over a dimension and where it is."""
    return _extreme(input, dim, keepdim, other, torch.maximum, torch.return_types.max, 1)


def min_(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Take the smaller of two, the smallest of all, or over a dimension and where it is."""
    return _extreme(input, dim, keepdim, other, torch.minimum, torch.return_types.min, -1)


def _extreme(x: Tensor, dim: Any, keepdim: bool, other: Any, of_two: Function, pair: Any, sign: int) -> Any:
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return of_two(x, other)
    if dim is None:
        return sign * amax(sign * x)
    values, indices = max_over_last((sign * x).movedim(dim, -1))
    found = [one if keepdim else one.squeeze(dim) for one in (sign * values.movedim(-1, dim), indices.movedim(-1, dim))]
    return pair(found)


def dimensions(x: Tensor, dim: Dimensions) -> tuple[int, ...]:
    """Return the dimensions that are meant, counted from 0; none means all."""
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        return tuple(range(x.ndim))
    return tuple(one % x.ndim for one in ((dim,) if isinstance(dim, int) else dim))


def gathered(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Return `x` with `dims` merged into a new last one."""
    return x.movedim(tuple(dims), tuple(range(-len(dims), 0))).flatten(-len(dims))


def kept(y: Tensor, x: Tensor, dims: Sequence[int]) -> Tensor:
    """Return `y` with dimensions of size 1 where `x` was reduced."""
    return y.reshape([1 if i in dims else size for i, size in enumerate(x.shape)])
