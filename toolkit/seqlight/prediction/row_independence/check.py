"""Check that the output for a row depends on that row alone: predict warns if it does not, and explanations refuse."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.errors import BatchWarning, UnsupportedOperation
from seqlight.prediction.borrowed_model.borrow import device_of
from seqlight.prediction.borrowed_model.random_generators import DrawDetector
from seqlight.prediction.device_memory import is_out_of_memory
from seqlight.prediction.input_errors import explain_input_errors
from seqlight.prediction.process_settings import EAGER
from seqlight.prediction.row_independence.culprit import Culprit, RunRows
from seqlight.prediction.row_independence.float64 import (
    find_culprit_despite_rounding,
    in_model_dtype,
    is_rounding,
    mixes_in_float64,
)
from seqlight.prediction.row_independence.probe_rows import (
    KeptOutput,
    candidate_rows,
    choose_rows,
    largest_spread,
    summarise_rows,
)
from seqlight.prediction.row_independence.quantisation import refuse_dynamic_quantisation, warn_of_dynamic_quantisation
from seqlight.prediction.row_independence.tolerance import (
    any_differs,
    differs,
    reruns_differ,
    tensors_of,
    tolerance_for,
)

# A model that draws random numbers is rerun on this many rows in all, in at least so many runs: it may drop few.
DRAWS, RUNS = 128, 4


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
        with contextlib.suppress(Exception), _eager():
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
        output, drew = _run_and_detect_draws(self.model, run, rows)
        if not self._changed(output, kept, strict=True):
            return "from call to call" if drew and _differs_by_chance(run, rows, self.rows, func) else ""
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
    with _eager():
        for some in (rows, rows[:2]):
            try:
                rows, (found, drew) = some, _run_and_detect_draws(model, run, some)
                break
            except Exception as error:  # a model that does not accept so many rows has not mixed any
                if not is_out_of_memory(error):
                    return
        else:  # nor has one for which there is no memory
            return
        if (drew and _differs_by_chance(run, rows, batch_size)) or _mixes(model, run, found, wanted, rows):
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


def describe_culprit(found: Culprit | None) -> str:
    """Return in words what makes outputs depend on more than their row.

    Examples
    --------
    >>> describe_culprit(Culprit("softmax", " in module 'pool' (Softmax)"))
    "it mixes the rows of a batch or draws random numbers, first at `softmax` in module 'pool' (Softmax)"
    """
    if found is None:
        where = ", as softmax(0), mean(0), batch statistics and dropout do"
    else:
        where = f", first {'at' if found.exact else 'somewhere before'} `{found.operation}`{found.module}"
    return f"it mixes the rows of a batch or draws random numbers{where}"


def _run_and_detect_draws(model: nn.Module, run: RunRows, rows: Sequence[int]) -> tuple[Any, bool]:
    """Return the output for some rows, and whether random numbers were drawn."""
    draws = DrawDetector(device_of(model, torch.device("cpu")))
    return run(rows), draws.has_drawn()


def _differs_by_chance(run: RunRows, rows: Sequence[int], most: int, func: Callable[[Any], Any] | None = None) -> bool:
    """Return whether reruns of the same batch differ, with at most `most` rows in it."""
    # In batches as large as the model takes anyway, since each row has its own draw.
    rows = list(rows) * max(1, min(most, 32) // len(rows))
    output = run(rows)
    reruns = (run(rows) for _ in range(min(max(DRAWS // len(rows), RUNS), 32)))
    other = next(((one,) for one in reruns if reruns_differ(output, one)), None)
    return other is not None and (func is None or reruns_differ(func(output), func(other[0])))


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


def _can_compare(output: Tensor, rows: int) -> bool:
    # Tensors that do not support arithmetic are refused later, when outputs are collected.
    dense = not output.is_nested and not output.is_meta and output.layout == torch.strided and output.itemsize > 1
    return dense and output.is_floating_point() and output.ndim > 0 and len(output) == rows and output.numel() > 0


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """Run compiled models eagerly, since they would be compiled again for batches of two rows."""
    with EAGER.apply() if "torch._dynamo" in sys.modules else contextlib.nullcontext():
        yield
