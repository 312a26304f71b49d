"""Ratios of sums over sequences, in float64: every metric is one, so that no split into batches changes it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.prediction.device_dtypes import widest_dtype

Reduction = Literal["mean", "none"]
NAN = float("nan")


class Tally(NamedTuple):
    """What a batch adds to a metric.

    Attributes
    ----------
    top, bottom : torch.Tensor, float64, shape (sequences, ...)
        Numerators and denominators. A sequence's own value is their quotient; a sequence whose denominator is 0
        has no value and does not count.
    """

    top: Tensor
    bottom: Tensor


def ratio_of_sums(tally: Tally, zero_division: float = NAN) -> Tensor:
    """Return the sum of all numerators over that of all denominators, and `zero_division` for 0/0."""
    return quotient(tally.top.sum(dim=0), tally.bottom.sum(dim=0), zero_division)


def reduce_tally(tally: Tally, reduction: Reduction, zero_division: float = NAN) -> Tensor:
    """Return one number for all sequences together, or with "none" one for each."""
    require_choice(reduction, "reduction", ("mean", "none"))
    return quotient(*tally, zero_division) if reduction == "none" else ratio_of_sums(tally, zero_division)


def quotient(top: Tensor, bottom: Tensor, zero_division: float) -> Tensor:
    """Return top / bottom, and `zero_division` where both are 0."""
    return torch.where((top == 0) & (bottom == 0), zero_division, top / bottom)


def mean_tally(values: Tensor) -> Tally:
    """Return the tally of a plain mean over sequences."""
    return Tally(values, torch.ones_like(values))


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype of sums: float64, or float32 where the device has no float64."""
    return widest_dtype(device)


def to_sum_dtype(X: Tensor) -> Tensor:
    """Return `X` in the dtype of sums, detached from its graph."""
    return X.detach().to(sum_dtype(X.device))


def require_choice(value: object, name: str, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}: expected one of {', '.join(map(repr, choices))}.")
