"""Check that the output for a row depends on that row alone: methods of attribution refuse a model if it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.errors import UnsupportedOperation
from seqlight.prediction.device_memory import is_out_of_memory
from seqlight.prediction.process_settings import run_eagerly
from seqlight.prediction.row_independence.chance import differs_by_chance, run_and_detect_draws
from seqlight.prediction.row_independence.culprit import RunRows, describe_culprit
from seqlight.prediction.row_independence.float64 import (
    find_culprit_despite_rounding,
    in_model_dtype,
    is_rounding,
    mixes_in_float64,
)
from seqlight.prediction.row_independence.quantisation import refuse_dynamic_quantisation
from seqlight.prediction.row_independence.tolerance import any_differs, differs, tensors_of, tolerance_for


def require_independent_rows(model: nn.Module, run: RunRows, wanted: Any, batch_size: int) -> None:
    """Raise UnsupportedOperation if the output for a row changes with the other rows of its batch, or by chance.

    Parameters
    ----------
    model : torch.nn.Module
    run : callable
        Returns what is explained of a batch of two rows.
    wanted : torch.Tensor, or a structure of them, of one or two rows
        The same for row 0, or for both, as found before, each in its own batch.
    batch_size : int
        With 1 there are no other rows, so only chance is checked.
    """
    rows, both = [0], all(len(one) > 1 for one in tensors_of(wanted))
    if batch_size > 1:
        refuse_dynamic_quantisation(model)
        # If both are known, in reverse. If one is, in the middle, since it may depend only on the rows before it or
        # after it, and not at the same distance from both ends.
        rows = [1, 0] if both else [1, 0, 1, 1][:batch_size]
    with run_eagerly():
        for some in (rows, rows[:2]):
            try:
                rows, (found, drew) = some, run_and_detect_draws(model, run, some)
                break
            except Exception as error:  # a model that does not accept so many rows has not mixed any
                if not is_out_of_memory(error):
                    return
        else:  # nor has one for which there is no memory
            return
        if (drew and differs_by_chance(run, rows, batch_size)) or _mixes(model, run, found, wanted, rows):
            culprit = find_culprit_despite_rounding(model, run)
            raise UnsupportedOperation(
                "the model's output for a sequence changes with the other rows of its batch: "
                f"{describe_culprit(culprit)}; explain a model that does not."
            )


def _mixes(model: nn.Module, run: RunRows, found: Any, wanted: Any, rows: list[int]) -> bool:
    """Return whether outputs differ from the wanted ones by more than rounding."""
    both, found = all(len(one) > 1 for one in tensors_of(wanted)), tensors_of(found)

    def changed(strict: bool) -> bool:
        # If nothing is known of row 1, it is run alone.
        return any_differs(model, found, tensors_of(wanted), rows, strict) or (
            1 in rows and not both and _differs_from_alone(model, run, found, rows, strict)
        )

    if not changed(strict=True):
        return False
    return mixes_in_float64(model, run) or (
        changed(strict=False) and not is_rounding(model, run, rows, found, tensors_of(wanted))
    )


def pair_runner(model: nn.Module, first: Sequence[Tensor], read: Callable[[list[Tensor], Tensor], Any]) -> RunRows:
    """Return a function that runs a model on a sequence, as row 0, and on one made from it, as row 1.

    Parameters
    ----------
    model : torch.nn.Module
    first : sequence of torch.Tensor, each of one row
        The sequence, one-hot of shape (1, letters, positions), and further inputs, which both rows get.
    read : callable
        Takes inputs and the index of the sequence of each row, and returns what is explained of it.
    """
    # Row 1 is reversed, with other letters: neither row is the reverse complement of the other.
    both = [torch.cat([one, one.roll(1, dims=1).flip(2) if not i else one]) for i, one in enumerate(first)]

    def run(rows: Sequence[int]) -> Any:
        with torch.no_grad():
            mine = in_model_dtype(model, [one[list(rows)] for one in both])
            return read(mine, torch.zeros(len(rows), dtype=torch.int64, device="cpu"))

    return run


def _differs_from_alone(model: nn.Module, run: RunRows, found: list[Tensor], rows: list[int], strict: bool) -> bool:
    """Return whether the output for row 1 alone differs from that in the batch of `rows`.

    If one of two rows holds the largest or smallest number it keeps it alone, and only the other one shows a change.
    """
    try:
        alone = tensors_of(run([1]))
    except Exception:  # a model that does not accept a single row
        return False
    mine, other = rows.index(1), rows.index(0)
    return any(
        one.is_floating_point() and one.ndim and one.numel() and len(one) == len(rows) and a.ndim and len(a) == 1
        and differs(one[[mine]], a.to(one.device), (one[mine] - one[other]).abs(), tolerance_for(model, one, strict))
        for one, a in zip(found, alone, strict=False)
    )  # fmt: skip
