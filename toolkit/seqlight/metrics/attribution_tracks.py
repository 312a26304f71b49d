"""Attributions as the metrics read them: checked, in float64, with one number for each position."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.ratios import to_sum_dtype
from seqlight.sequence.checks import require_tensor


def require_attributions(attributions: object, name: str = "attributions") -> Tensor:
    """Return attributions unchanged; raise InputError if they have another shape or are empty.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
    name : str
        Its name in error messages.
    """
    found = require_tensor(attributions, name)
    if found.ndim not in (2, 3) or not found.numel():
        raise InputError(
            f"{name} has shape {tuple(found.shape)}: expected (sequences, letters, positions) "
            "or (sequences, positions), none of them 0."
        )
    return found


def sum_over_letters(attributions: object, name: str = "attributions") -> Tensor:
    """Return the attribution of each position: float64, shape (sequences, positions)."""
    found = to_sum_dtype(require_attributions(attributions, name))
    return found.sum(dim=1) if found.ndim == 3 else found


def require_pair(attributions: object, others: object) -> tuple[Tensor, Tensor]:
    """Return both; raise InputError unless they are attributions of the same shape."""
    first, second = require_attributions(attributions), require_attributions(others, "others")
    if first.shape != second.shape:
        raise InputError(
            f"attributions has shape {tuple(first.shape)} and others {tuple(second.shape)}: "
            "expected the same sequences in both."
        )
    return first, second


def divide_by_largest(rows: Tensor) -> Tensor:
    """Divide each row by its largest magnitude, so that neither squares nor sums of tiny numbers underflow.

    Parameters
    ----------
    rows : torch.Tensor, float64, shape (sequences, numbers)
    """
    size = rows.abs().amax(dim=1, keepdim=True)
    # Zeros stay zeros; a row with NaN or an infinity becomes NaN.
    return torch.where(size == 0, rows, rows / size)
