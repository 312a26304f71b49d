"""Norms of vectors, the distances that are norms of differences, and the cosine of two vectors.

All are written in simpler operations that have rules. Roots are flat at 0, where their slope is infinite.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.rules.quotient import quotient
from seqlight.attribution.rules.reductions import amax, amin, dimensions
from seqlight.attribution.rules.special_functions import elementwise, slopeless


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Return the root of the sum of powers, over one dimension, several, or all."""
    x, dims = (x if dtype is None else x.to(dtype)), dimensions(x, dim)
    x = x.abs() if x.is_complex() else x
    if abs(ord) == math.inf:
        return (amax if ord > 0 else amin)(x.abs(), dims, keepdim)
    if ord == 0:
        return slopeless(x, lambda x: (x != 0).to(x.dtype)).sum(dims, keepdim)  # type: ignore[no-any-return]
    if ord == 1:
        return x.abs().sum(dims, keepdim)
    if ord == 2:
        return power((x * x).sum(dims, keepdim), 0.5)
    return power(power(x.abs(), ord).sum(dims, keepdim), 1 / ord)


def linalg_norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Return the norm of vectors, or that of matrices, which is integrated numerically unless it is a vector's."""
    n = A.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
    if ord is None or (n == 1 and not isinstance(ord, str)):
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    y: Tensor = torch.linalg.matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return y


def power(x: Tensor, exponent: float) -> Tensor:
    """Return a power of numbers that are not negative; its slope at 0 is 0, where that of a root is not finite."""
    y: Tensor = elementwise(x, lambda x: torch.where(x > 0, torch.where(x > 0, x, 1) ** exponent, x * 0))
    return y


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """Return the norm of the difference of each pair of rows."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Return the dot product divided by both norms, each of at least `eps`."""
    both = torch.broadcast_tensors(x1, x2)  # type: ignore[no-untyped-call]
    a, b = (torch.clamp_min(vector_norm(x, dim=dim), eps) for x in both)
    y: Tensor = quotient((x1 * x2).sum(dim), a * b)
    return y


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Return the distances of all rows of one from all of the other."""
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Return the distances of all pairs of rows."""
    i, j = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return vector_norm(input[i] - input[j], p, -1)


def dist(input: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """Return the norm of the difference of two tensors."""
    return vector_norm(input - other, p)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Return `input` with each slice along `dim` scaled down to a norm of at most `maxnorm`."""
    others = [one for one in range(input.ndim) if one != dim % input.ndim]
    norm = vector_norm(input, p, others, True)
    factor: Tensor = elementwise(norm, lambda n: torch.where(n > maxnorm, maxnorm / (n + 1e-7), torch.ones_like(n)))
    return input * factor
