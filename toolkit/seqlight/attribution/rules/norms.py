"""Distances between many, and what is cut off at a norm, in simpler operations that have rules."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.rules.decompositions import vector_norm
from seqlight.attribution.rules.special_functions import elementwise


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Take the norms of the differences of all rows of the one and all of the other."""
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Take the norms of the differences of all pairs of rows."""
    i, j = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return vector_norm(input[i] - input[j], p, -1)


def dist(input: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """Take the norm of the difference."""
    return vector_norm(input - other, p)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Shorten what lies at each place of `dim` to a norm of `maxnorm`, unless it is shorter."""
    others = [one for one in range(input.ndim) if one != dim % input.ndim]
    norm = vector_norm(input, p, others, True)
    factor: Tensor = elementwise(norm, lambda n: torch.where(n > maxnorm, maxnorm / (n + 1e-7), torch.ones_like(n)))
    return input * factor
