"""References that do not depend on chance: zeros, and every letter alike."""

from __future__ import annotations

import torch
from torch import Tensor


def zero_references(X: Tensor, n: int) -> Tensor:
    """Return references of zeros, shape (rows, n, letters, positions); one is as good as many.

    Examples
    --------
    >>> zero_references(torch.ones(2, 4, 5), n=1).sum()
    tensor(0.)
    """
    return X.new_zeros((len(X), n, *X.shape[1:]))


def uniform_references(X: Tensor, n: int) -> Tensor:
    """Return references with every letter alike, 0.25 for DNA, shape (rows, n, letters, positions).

    Examples
    --------
    >>> uniform_references(torch.ones(2, 4, 5), n=1).unique()
    tensor([0.2500])
    """
    return torch.full((len(X), n, *X.shape[1:]), 1 / X.shape[1])
