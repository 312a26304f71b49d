"""Ratios of sums over sequences, in float64: what each metric is, so that no split into batches changes it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seqlight.errors import InputError

Reduction = Literal["mean", "none"]
NAN = float("nan")


class Tally(NamedTuple):
    """What a batch adds to a metric.

    Attributes
    ----------
    top, bottom : torch.Tensor, float64, shape (sequences, ...)
        A sequence's own value is their quotient; a sequence whose `bottom` is 0 has none and does not count.
    """

    top: Tensor
    bottom: Tensor


def of_all(tally: Tally, nothing: float = NAN) -> Tensor:
    """Return the sum of all numerators over that of all denominators, and `nothing` for 0/0."""
    return quotient(tally.top.sum(dim=0), tally.bottom.sum(dim=0), nothing)


def of_each(tally: Tally, nothing: float = NAN) -> Tensor:
    """Return the quotient of each sequence, and `nothing` for 0/0."""
    return quotient(tally.top, tally.bottom, nothing)


def reduced(tally: Tally, reduction: Reduction, nothing: float = NAN) -> Tensor:
    """Return one number for all sequences, or for "none" one for each."""
    require_choice(reduction, "reduction", ("mean", "none"))
    return of_each(tally, nothing) if reduction == "none" else of_all(tally, nothing)


def quotient(top: Tensor, bottom: Tensor, nothing: float) -> Tensor:
    """Return top / bottom, and `nothing` where both are 0."""
    return torch.where((top == 0) & (bottom == 0), nothing, top / bottom)


def mean_of(values: Tensor) -> Tally:
    """Return the tally of a plain mean over sequences."""
    return Tally(values, torch.ones_like(values))


def widest(device: torch.device) -> torch.dtype:
    """Return the dtype of sums: float64, or float32 where the device has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def wide(X: Tensor) -> Tensor:
    """Return `X` as numbers that can be summed, without its graph."""
    return X.detach().to(widest(X.device))


def require_choice(value: object, name: str, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}: expected one of {', '.join(map(repr, choices))}.")
