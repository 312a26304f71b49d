"""Whether a row has another output beside another one where there are digits enough to tell that from rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype
from seqlight.prediction.row_independence.culprit import Culprit, Run, culprit
from seqlight.prediction.row_independence.tolerance import any_far, tensors_of

T = TypeVar("T")

# How many times what rounding does to some rows it may do to others.
TIMES_ROUNDING = 10


def mixes_in_float64(model: nn.Module, run: Run) -> bool:
    """Return whether the outputs of two rows depend on each other in float64 too.

    Parameters
    ----------
    model : torch.nn.Module
        Which computes in float32, and is borrowed.
    run : callable
        Returns what becomes of some of two rows, in the dtype of the model.

    Returns
    -------
    bool
        False also where float64 cannot be computed in: what is not known is not told.
    """

    def mixes() -> bool:
        # Not the same read backwards.
        rows = [1, 0, 1, 1]
        found, alone = tensors_of(run(rows)), (tensors_of(run([0, 0])), tensors_of(run([1, 1])))
        wanted = [torch.stack([a[0], b[0]]) for a, b in zip(*alone, strict=True)]
        return any_far(model, found, wanted, rows, finest=True)

    return _in_float64(model, mixes) or False


def is_rounding(model: nn.Module, run: Run, rows: Sequence[int], found: list[Tensor], wanted: list[Tensor]) -> bool:
    """Return whether outputs of some rows are as far from those in float64 as from those that are `wanted`.

    So they are where large numbers nearly cancel in a model, and what rounds otherwise in another batch is all of them.

    Parameters
    ----------
    model, run
        As in :func:`mixes_in_float64`.
    rows : sequence of int
        Which rows `found` is of.
    found, wanted : list of torch.Tensor
        Outputs of these rows, and of the first row or of both as they were in other batches.
    """
    exact = _in_float64(model, lambda: tensors_of(run(rows)))
    return exact is not None and all(
        float((f[at] - w[row]).abs().max()) <= TIMES_ROUNDING * float((f - e).abs().max())
        for f, e, w in zip(found, exact, wanted, strict=True)
        for at, row in enumerate(rows)
        if row < len(w) and f.is_floating_point()
    )


def fine_culprit(model: nn.Module, run: Run) -> Culprit | None:
    """Return what :func:`culprit` does, in float64 where rounding hides it."""
    return culprit(model, run) or _in_float64(model, lambda: culprit(model, run))


def in_model_dtype(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return inputs that were made for a model of float32 as it takes them where it is in float64."""
    wide = bool(inputs) and floating_dtype(model, inputs[0]) == torch.float64
    return [one.double() if wide and one.is_floating_point() else one for one in inputs]


def _in_float64(model: nn.Module, compute: Callable[[], T]) -> T | None:
    device = next((one.device for one in model.parameters()), torch.device("cpu"))
    try:
        with borrow(model, device, torch.float64):
            return compute()
    except Exception:  # of a model that names float32 in its forward, of a device without float64, of a lack of memory
        return None
