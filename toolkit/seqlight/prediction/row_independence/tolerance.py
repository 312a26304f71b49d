"""Whether two outputs for a row differ by more than rounding, in whatever structure a model returns them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.prediction.arguments import HALF
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.float32_precision import may_use_tf32


class Tolerance(NamedTuple):
    """How much of a difference may be rounding: shares of the spread between rows and of the size of an output."""

    of_spread: float
    of_size: float


FLOAT32 = Tolerance(1e-2, 1e-3)
# Differences between this and FLOAT32 may be either, so the comparison is repeated in float64: see float64.py.
FLOAT32_STRICT = Tolerance(1e-3, 3e-5)
# Some operations of a model in float64 may compute in float32 nevertheless.
FLOAT64_STRICT = Tolerance(1e-5, 3e-6)
# Convolutions on a GPU may use TF32 or not, depending on their shapes, where the program allows it.
TF32 = Tolerance(5e-2, 1e-2)
HALF_PRECISION = Tolerance(1e-1, 5e-2)


def tolerance_for(model: nn.Module, output: Tensor, strict: bool = False) -> Tolerance:
    """Return the tolerance for an output, by the precision in which `model` computes.

    A difference beyond it is not rounding; with `strict`, a difference within it is.
    """
    dtype = floating_dtype(model, output)
    if output.dtype in HALF or dtype in HALF or torch.is_autocast_enabled(output.device.type):
        return HALF_PRECISION
    if strict:
        return FLOAT64_STRICT if dtype == torch.float64 else FLOAT32_STRICT
    return TF32 if dtype == torch.float32 and may_use_tf32(output.device) else FLOAT32


def any_differs(
    model: nn.Module, found: list[Tensor], wanted: list[Tensor], rows: list[int], strict: bool = False
) -> bool:
    """Return whether any output of a batch of `rows` differs from what is wanted for row 0, or for rows 0 and 1."""
    for one, other in zip(found, wanted, strict=False):
        numbers = one.is_floating_point() and one.ndim > 0 and other.ndim > 0
        if numbers and one.numel() and other.numel() and len(one) == len(rows):
            there = one.to(other.device)
            other_row = there[rows.index(1)] if 1 in rows else other[-1]
            spread = (other[0] - (other[1] if len(other) > 1 else other_row)).abs()
            known = [i for i, row in enumerate(rows) if row < len(other)]
            if differs(there[known], other[[rows[i] for i in known]], spread, tolerance_for(model, one, strict)):
                return True
    return False


def differs(found: Tensor, wanted: Tensor, spread: Tensor | float, tolerance: Tolerance) -> bool:
    """Return whether outputs differ from the wanted ones by more than rounding.

    Parameters
    ----------
    found, wanted : torch.Tensor, shape (rows, ...) and (rows or 1, ...)
    spread : torch.Tensor, shape (...), or float
        The difference between the outputs of different rows: for each number, or the largest of all.
    tolerance : Tolerance
        The shares of the spread and of the size of an output that may be rounding.
    """
    if found.shape[1:] != wanted.shape[1:]:  # as of a matrix of similarities, whose columns are rows too
        return True
    if not found.is_floating_point():
        return False
    error, size = (found - wanted).abs(), wanted.abs()
    if not isinstance(spread, Tensor):
        # The quick check, which nearly always suffices. With NaN it is false.
        if float(error.max()) <= tolerance.of_spread * spread + tolerance.of_size * float(size.max()):
            return False
    elif torch.equal(found, wanted):
        return False
    # The size is that of each number in a vector of targets, and of the largest number in any other shape.
    size = size.amax(dim=0) if wanted.ndim == 2 and isinstance(spread, Tensor) and spread.ndim else size.amax()
    # NaN compares as no difference; it is reported elsewhere.
    return bool((error > tolerance.of_spread * spread + tolerance.of_size * size + 1e-12).any())


def reruns_differ(output: Any, rerun: Any) -> bool:
    """Return whether two outputs of the same batch differ by more than the order of sums can explain.

    Examples
    --------
    >>> reruns_differ(torch.ones(2, 3), torch.ones(2, 3)), reruns_differ(torch.ones(2, 3), 1.0001 * torch.ones(2, 3))
    (False, True)
    """
    return any(
        a.shape == b.shape and a.is_floating_point() and a.numel()
        and bool(((a - b).abs() > _summation_error(a.dtype) * a.abs().amax()).any())
        for a, b in zip(tensors_of(output), tensors_of(rerun), strict=False)
    )  # fmt: skip


def _summation_error(dtype: torch.dtype) -> float:
    """Return the share of its size by which the order of sums may change an output."""
    return (4 if dtype in HALF else 100) * torch.finfo(dtype).eps


def tensors_of(tree: Any) -> list[Tensor]:
    """Return the tensors of an output of any structure, in order.

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
