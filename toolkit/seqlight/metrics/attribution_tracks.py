"""Attributions as the metrics read them: checked, in float64, a number a position or a row of numbers a sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.ratios import wide
from seqlight.sequence.checks import require_tensor

_SMALLEST = torch.finfo(torch.float32).tiny


def require_attributions(attributions: object, name: str = "attributions") -> Tensor:
    """Return attributions as they are; InputError unless they are some, a row a sequence.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
    name : str
        What to call it in an error.
    """
    found = require_tensor(attributions, name)
    if found.ndim not in (2, 3) or not found.numel():
        raise InputError(
            f"{name} has shape {tuple(found.shape)}: expected (sequences, letters, positions) "
            "or (sequences, positions), none of them 0."
        )
    return found


def positions_of(attributions: object, name: str = "attributions") -> Tensor:
    """Return what each position has, summed over letters: float64, shape (sequences, positions)."""
    found = wide(require_attributions(attributions, name))
    return found.sum(dim=1) if found.ndim == 3 else found


def require_pair(attributions: object, others: object) -> tuple[Tensor, Tensor]:
    """Return both; InputError unless they are attributions of the same shape."""
    mine, yours = require_attributions(attributions), require_attributions(others, "others")
    if mine.shape != yours.shape:
        raise InputError(
            f"attributions has shape {tuple(mine.shape)} and others {tuple(yours.shape)}: "
            "expected the same sequences in both."
        )
    return mine, yours


def scaled(rows: Tensor) -> Tensor:
    """Return each row over its largest magnitude, so that neither squares nor sums of tiny numbers vanish.

    Parameters
    ----------
    rows : torch.Tensor, float64, shape (sequences, numbers)
    """
    size = rows.abs().amax(dim=1, keepdim=True)
    # Zeros stay zeros; a row with NaN or an infinity becomes NaN.
    return torch.where(size == 0, rows, rows / size)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine between rows, shape (sequences,); 0 where a row is all zeros, NaN where it is not finite."""
    products = (_directed(a) * _directed(b)).sum(dim=1)
    # Rounding must not make a cosine that acos refuses.
    return products.clamp(-1, 1)


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Return Pearson's correlation between rows, shape (sequences,); 0 where a row is constant."""
    return cosines(_centred(a), _centred(b))


def _directed(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(scaled(rows), dim=1, eps=_SMALLEST)


def _centred(rows: Tensor) -> Tensor:
    rows = scaled(rows)
    # The mean of equal numbers may miss them by a rounding, which would point anywhere.
    constant = rows.amax(dim=1, keepdim=True) == rows.amin(dim=1, keepdim=True)
    return torch.where(constant, torch.zeros_like(rows), rows - rows.mean(dim=1, keepdim=True))
