"""Repeat a check in float64, which has enough digits to tell a real difference from rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqlight.prediction.borrowed_model.borrow import borrow, device_of, floating_dtype
from seqlight.prediction.row_independence.culprit import Culprit, RunRows, find_culprit
from seqlight.prediction.row_independence.tolerance import any_differs, tensors_of

T = TypeVar("T")

# By this factor rounding in another batch may differ from rounding in this one.
TIMES_ROUNDING = 10


def mixes_in_float64(model: nn.Module, run: RunRows) -> bool:
    """Return whether the outputs of two rows depend on each other in float64, too.

    Parameters
    ----------
    model : torch.nn.Module
        A model in float32, which is borrowed.
    run : callable
        Returns what becomes of a batch of two rows, in the dtype of the model.

    Returns
    -------
    bool
        False also if the model cannot compute in float64: what is not known is not reported.
    """

    def mixes() -> bool:
        # An order that differs from its reverse.
        rows = [1, 0, 1, 1]
        found, alone = tensors_of(run(rows)), (tensors_of(run([0, 0])), tensors_of(run([1, 1])))
        wanted = [torch.stack([a[0], b[0]]) for a, b in zip(*alone, strict=True)]
        return any_differs(model, found, wanted, rows, strict=True)

    return _in_float64(model, mixes) or False


def is_rounding(model: nn.Module, run: RunRows, rows: Sequence[int], found: list[Tensor], wanted: list[Tensor]) -> bool:
    """Return whether outputs are as far from those in float64 as from the `wanted` ones.

    So they are if large numbers nearly cancel in a model: what then changes with the batch is all rounding.

    Parameters
    ----------
    model, run
        As in :func:`mixes_in_float64`.
    rows : sequence of int
        The rows of the batch that `found` is the output of.
    found, wanted : list of torch.Tensor
        Outputs of these rows, and of row 0 or of both as they were in other batches.
    """
    exact = _in_float64(model, lambda: tensors_of(run(rows)))
    return exact is not None and all(
        float((f[at] - w[row]).abs().max()) <= TIMES_ROUNDING * float((f - e).abs().max())
        # What was found before may have been fetched from the device.
        for f, e, w in zip(*([one.cpu() for one in some] for some in (found, exact, wanted)), strict=True)
        for at, row in enumerate(rows)
        if row < len(w) and f.is_floating_point()
    )


def find_culprit_despite_rounding(model: nn.Module, run: RunRows) -> Culprit | None:
    """Return what :func:`find_culprit` does, in float64 if rounding hides the culprit."""
    return find_culprit(model, run) or _in_float64(model, lambda: find_culprit(model, run))


def in_model_dtype(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return inputs that were made for a model in float32, converted while the model is borrowed in float64."""
    wide = bool(inputs) and floating_dtype(model, inputs[0]) == torch.float64
    return [one.double() if wide and one.is_floating_point() else one for one in inputs]


def _in_float64(model: nn.Module, compute: Callable[[], T]) -> T | None:
    try:
        with borrow(model, device_of(model, torch.device("cpu")), torch.float64):
            return compute()
    except Exception:  # a model that names float32 in its forward, a device without float64, or too little memory
        return None
