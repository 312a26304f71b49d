"""Keep a row of what a model is run on, and run it again: predict warns if its output depends on more than the row."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.errors import BatchWarning
from seqlight.prediction.input_errors import explain_input_errors
from seqlight.prediction.process_settings import run_eagerly
from seqlight.prediction.row_independence.chance import differs_by_chance, run_and_detect_draws
from seqlight.prediction.row_independence.culprit import Culprit, RunRows, describe_culprit
from seqlight.prediction.row_independence.float64 import (
    find_culprit_despite_rounding,
    in_model_dtype,
    mixes_in_float64,
)
from seqlight.prediction.row_independence.probe_rows import (
    KeptOutput,
    candidate_rows,
    choose_rows,
    largest_spread,
    summarise_rows,
)
from seqlight.prediction.row_independence.quantisation import warn_of_dynamic_quantisation
from seqlight.prediction.row_independence.tolerance import any_differs, differs, tensors_of, tolerance_for


class RowProbe:
    """Runs a model over batches, keeps a row of the first one, and later runs it again in a batch of copies of itself.

    Parameters
    ----------
    model : torch.nn.Module
    keeps : bool
        Whether to keep a row at all: not where the rows of the model have been checked already.
    """

    def __init__(self, model: nn.Module, keeps: bool = True) -> None:
        self.model, self.keeps = model, keeps
        self.rows = 0  # in the batch that the row is from
        self._inputs: list[Tensor] = []  # of the candidate rows of that batch
        # Of each row to run again: its place among the candidates and among all rows, and its outputs.
        self._kept: list[tuple[int, int, list[KeptOutput]]] = []

    def run(self, inputs: Sequence[Tensor], done: int = 0) -> Any:
        """Return the model's output for a batch; keep a row of the first batch that has several, or both of two.

        There are `done` rows in all batches before.
        """
        rows = len(inputs[0])
        keeps, candidates = self.keeps and self.rows < min(rows, 2), candidate_rows(rows)
        if keeps:
            # Copied now, since the model may write to its inputs.
            self._inputs = [one[candidates] for one in inputs]
        with explain_input_errors(inputs):
            output = self.model(*inputs)
        if keeps:
            self.rows, self._kept = rows, []
            outputs = {i: one.detach() for i, one in enumerate(tensors_of(output)) if _can_compare(one, rows)}
            self._keep(outputs, candidates, done)
        return output

    def _keep(self, outputs: dict[int, Tensor], candidates: Tensor, done: int) -> None:
        """Keep the outputs of the row that is chosen, or of both."""
        few = len(candidates) < 3  # no choice to make
        summaries = [[[0.0]] * len(candidates) if few else summarise_rows(one, candidates) for one in outputs.values()]
        spreads = [largest_spread(one) for one in outputs.values()]
        for at in choose_rows(summaries):
            row = int(candidates[at])
            kept = [
                KeptOutput(i, one[row : row + 1].clone(), spread)
                for (i, one), spread in zip(outputs.items(), spreads, strict=True)
            ]
            self._kept.append((at, done + row, kept))

    def warn_if_dependent(self, func: Callable[[Any], Any] | None, result: Any, stacklevel: int) -> None:
        """Run the kept row again, in a batch of copies of itself, and warn if its output changes.

        A model that draws random numbers is run several times, since these may change little, and rarely.

        Parameters
        ----------
        func : callable, optional
            Applied to outputs. Only called if these change, to see whether its result does.
        result : anything
            The result for all rows.
        stacklevel : int
            As in warnings.warn, counted from the caller of this method.
        """
        if self.rows > 1 and warn_of_dynamic_quantisation(self.model, stacklevel + 1):
            return
        found: tuple[Culprit | None, str] | None = None
        # A model that does not accept two rows, say, gives no reason to warn.
        with contextlib.suppress(Exception), run_eagerly():
            for at, row, kept in self._kept:
                changes = self._describe_change(at, row, kept, func, result)
                if changes:
                    found = find_culprit_despite_rounding(self.model, self._runner(at)), changes
                    break
        if found is not None:
            culprit, changes = found
            warnings.warn(
                f"the model's output for a row changes {changes}: {describe_culprit(culprit)}; predictions depend on "
                "batch_size, or on chance.",
                BatchWarning,
                stacklevel=stacklevel + 1,
            )

    def _describe_change(
        self, at: int, row: int, kept: list[KeptOutput], func: Callable[[Any], Any] | None, result: Any
    ) -> str:
        """Return in words when the output for a row changes, or "" if it does not."""
        # The first of two rows is run alone, to see whether the number of rows matters.
        run, rows = self._runner(at), [0, 0] if self.rows > 1 and (self.rows > 2 or at) else [0]
        output, drew = run_and_detect_draws(self.model, run, rows)
        if not self._changed(output, kept, strict=True):
            return "from call to call" if drew and differs_by_chance(run, rows, self.rows, func) else ""
        if func is None:
            changed = self._changed(output, kept) or mixes_in_float64(self.model, run)
        else:
            again, before = tensors_of(func(output)), [one[row : row + 1] for one in tensors_of(result)]
            changed = any_differs(self.model, again, before, rows, strict=True) and (
                any_differs(self.model, again, before, rows)
                or mixes_in_float64(self.model, lambda rows: func(run(rows)))
            )
        when = "with the other rows of its batch" if self.rows > 1 else "from call to call"
        return when if changed else ""

    def _changed(self, output: Any, kept: list[KeptOutput], strict: bool = False) -> bool:
        """Return whether an output differs from the kept one by more than rounding."""
        found = tensors_of(output)
        return any(
            not one.surely_equals(found[one.position])
            and differs(found[one.position], one.output, one.spread, tolerance_for(self.model, one.output, strict))
            for one in kept
            if one.position < len(found)
        )

    def _runner(self, at: int) -> RunRows:
        """Return a function that runs the model on a kept row, as row 0, and on another one."""
        both = [at, -1 if at == 0 else 0]
        return lambda rows: self.model(
            *in_model_dtype(self.model, [one[[both[row] for row in rows]] for one in self._inputs])
        )


def _can_compare(output: Tensor, rows: int) -> bool:
    # Tensors that do not support arithmetic are refused later, when outputs are collected.
    dense = not output.is_nested and not output.is_meta and output.layout == torch.strided and output.itemsize > 1
    return dense and output.is_floating_point() and output.ndim > 0 and len(output) == rows and output.numel() > 0
