"""Whether two outputs of a row differ by more than rounding, whatever they are built of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.prediction.arguments import HALF
from seqlight.prediction.borrowed_model.borrow import floating_dtype


class Shares(NamedTuple):
    """By what shares of the difference of two outputs, and of their size, an output may be another by rounding."""

    difference: float
    size: float


FINE = Shares(1e-2, 1e-3)
# What lies between these and FINE may be either, and float64 is asked: see float64.py.
FINER = Shares(1e-3, 3e-5)
# Of float64, in which some operations of a model may be in float32 nevertheless.
FINEST = Shares(1e-5, 3e-6)
# Of TF32, by which convolutions compute on a GPU, or not, as their shapes are.
MIDDLE = Shares(5e-2, 1e-2)
COARSE = Shares(1e-1, 5e-2)


def shares_of(model: nn.Module, output: Tensor, finest: bool = False) -> Shares:
    """Return how much of an output may be rounding, as precise as `model` computes; `finest`: mostly is rounding."""
    dtype = floating_dtype(model, output)
    if output.dtype in HALF or dtype in HALF or torch.is_autocast_enabled(output.device.type):
        return COARSE
    if finest and dtype == torch.float64:
        return FINEST
    return MIDDLE if output.device.type != "cpu" else FINER if finest else FINE


def any_far(model: nn.Module, found: list[Tensor], wanted: list[Tensor], rows: list[int], finest: bool = False) -> bool:
    """Return whether any output of some rows is another than wanted of the first, or of both."""
    for one, other in zip(found, wanted, strict=False):
        numbers = one.is_floating_point() and one.ndim > 0 and other.ndim > 0
        if numbers and one.numel() and other.numel() and len(one) == len(rows):
            there = one.to(other.device)
            other_row = there[rows.index(1)] if 1 in rows else other[-1]
            difference = (other[0] - (other[1] if len(other) > 1 else other_row)).abs()
            at = [i for i, row in enumerate(rows) if row < len(other)]
            if far(there[at], other[[rows[i] for i in at]], difference, shares_of(model, one, finest)):
                return True
    return False


def far(found: Tensor, wanted: Tensor, difference: Tensor | float, shares: Shares) -> bool:
    """Return whether outputs are others than wanted, by more than rounding.

    Parameters
    ----------
    found, wanted : torch.Tensor, shape (rows, ...) and (rows or 1, ...)
    difference : torch.Tensor, shape (...), or float
        How far the outputs of different rows lie apart: in each number, or at most in any.
    shares : Shares
        Of it, and of the size of an output, that may be rounding.
    """
    if found.shape[1:] != wanted.shape[1:]:  # as of a matrix of similarities, whose columns are rows too
        return True
    if not found.is_floating_point():
        return False
    error, size = (found - wanted).abs(), wanted.abs()
    if not isinstance(difference, Tensor):
        # Which is so nearly always, and soon said. Of what is no number it says nothing.
        if float(error.max()) <= shares.difference * difference + shares.size * float(size.max()):
            return False
    elif torch.equal(found, wanted):
        return False
    # What is no sequence of targets is as large as the largest of its numbers.
    size = size.amax(dim=0) if wanted.ndim == 2 and isinstance(difference, Tensor) and difference.ndim else size.amax()
    # Asked this way round, what is no number passes: that is told elsewhere.
    return bool((error > shares.difference * difference + shares.size * size + 1e-12).any())


def differ(output: Any, again: Any) -> bool:
    """Return whether outputs of the same rows in the same batch differ, by more than the order of sums does.

    Examples
    --------
    >>> differ(torch.ones(2, 3), torch.ones(2, 3)), differ(torch.ones(2, 3), 1.0001 * torch.ones(2, 3))
    (False, True)
    """
    return any(
        a.shape == b.shape and a.is_floating_point() and a.numel()
        and bool(((a - b).abs() > _order(a) * a.abs().amax()).any())
        for a, b in zip(tensors_of(output), tensors_of(again), strict=False)
    )  # fmt: skip


def _order(output: Tensor) -> float:
    """Return by what share of its size the order of sums may change an output."""
    return (4 if output.dtype in HALF else 100) * torch.finfo(output.dtype).eps


def tensors_of(tree: Any) -> list[Tensor]:
    """Return the tensors of an output, whatever it is built of, in order.

    Examples
    --------
    >>> [one.shape[0] for one in tensors_of({"mean": torch.zeros(2), "more": (torch.zeros(3), None)})]
    [2, 3]
    """
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        return [one for part in tree.values() for one in tensors_of(part)]
    if isinstance(tree, tuple | list):
        return [one for part in tree for one in tensors_of(part)]
    if is_dataclass(tree):
        return [one for field in fields(tree) for one in tensors_of(getattr(tree, field.name))]
    return []
