"""Mutants of which only what the mutation changes is computed, where that pays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.methods.mutant_grid import MutantGrid
from seqlight.prediction.changed_windows.changed_tensor import ChangedTensor, whole
from seqlight.prediction.changed_windows.largest_output import LargestOutput
from seqlight.prediction.changed_windows.reference_outputs import ReferenceOutputs
from seqlight.prediction.changed_windows.windows import PlainWindows, Windows, cut
from seqlight.prediction.device_memory import is_out_of_memory
from seqlight.prediction.outputs import flatten_structure, map_structure

# Shorter sequences, and fewer mutants, are done before a trial would be.
SHORTEST, FEWEST = 50, 100
# So are those of which all mutants together have at most so many multiplications: a fraction of a second.
LEAST_WORK = 1e10
# What is to be saved must leave room for an error of the estimate.
PAYS = 0.7
# The time that a batch loses at each call for finding the windows, as multiplications of a convolution: on the CPU, and
# on devices that wait for it.
EACH_CALL, EACH_CALL_ELSEWHERE = 2.5e6, 3e9
# On the CPU so many mutants have one window in common: what lies around it is then a view of the reference. A device
# for which many small operations are slow takes all mutants of a batch at once, each with a window of its own.
TOGETHER = 32
# Windows of each mutant's own are worth the copies of what lies around them if they take at most this share of the work
# of windows in common.
WORTH = 0.8
# How many times as many mutants may be taken at a time where windows take less memory.
MORE = 4
# How much of the largest output may be rounding.
ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-5}


def most_work(model: nn.Module, length: int) -> float:
    """Return about how many multiplications a row takes: kernels at each of `length` positions, and matrices once.

    Examples
    --------
    >>> most_work(nn.Sequential(nn.Conv1d(4, 8, 5), nn.Flatten(), nn.Linear(48, 2)), 10)
    1696.0
    """
    return float(sum(one.numel() * (length if one.ndim > 2 else 1) for one in model.parameters() if one.ndim > 1))


class ChangedMutants:
    """Outputs of a model for mutants, of which it computes the windows that a mutation changes.

    Two mutants are computed in both ways first: only where the outputs agree to rounding, and the work is clearly
    less, are others. What is chosen depends on model and sequences, and not on how long something took.

    Parameters
    ----------
    grid : MutantGrid
    model_inputs : callable
        Takes the rows of a batch, one for each mutant, and X, and returns the inputs of the model.
    read : callable
        Takes inputs and rows, runs the model, and returns what is wanted of its output.
    dtype : torch.dtype
        The dtype that the model computes in.
    device : torch.device
        Where the model is.
    each : float
        The most multiplications that a mutant may take in full; see :func:`most_work`.
    """

    def __init__(
        self,
        grid: MutantGrid,
        model_inputs: Callable[[Tensor, Tensor], list[Any]],
        read: Callable[[Sequence[Any], Tensor], Any],
        dtype: torch.dtype | None,
        device: torch.device,
        each: float = math.inf,
    ) -> None:
        self._near = device.type == "cpu"
        self._joins = [True, False] if self._near else [False]
        self._joined, self.rows = False, 1
        self.grid, self.model_inputs, self.read = grid, model_inputs, read
        self.rounding = ROUNDING.get(dtype, 0.0) if dtype is not None else 0.0
        enough = grid.X.shape[2] >= SHORTEST and grid.shape.numel() >= FEWEST
        enough = enough and grid.shape.numel() * each >= LEAST_WORK
        # Whether to go on; None before the trial.
        self.goes: bool | None = None if enough and self.rounding else False
        self._sequence, self._reference, self._known = -1, torch.empty(0), ReferenceOutputs()

    def decide(self, batch: int) -> int:
        """Make the trial, and return how many mutants to take at a time, where so many may be taken in full.

        Windows take less memory than whole mutants, so there may be more of them: at most four times as many.
        """
        if self.goes is None:
            self.goes, self.rows = False, batch
            self.goes = batch > 1 and self._succeeds(batch)
        return self.rows if self.goes else batch

    def outputs(self, places: Tensor) -> list[tuple[Any, int]] | None:
        """Return what is wanted of mutants, in parts with their numbers of rows; None where each is to be made whole.

        Parameters
        ----------
        places : torch.Tensor, int64
            Of mutants in the grid.
        """
        if not self.goes:
            return None
        try:
            _, counts = torch.unique_consecutive(self.grid.rows(places), return_counts=True)
            parts = [part for one in torch.split(places, counts.tolist()) for part in self._groups(one)]
            return [(self._output(part), len(part)) for part in parts]
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.goes = False
            return None

    def _groups(self, places: Tensor) -> tuple[Tensor, ...]:
        """Return mutants of one sequence in groups whose windows are joined, where that is faster."""
        return torch.split(places, TOGETHER) if self._joined else (places,)

    def _output(self, places: Tensor) -> Any:
        """Return what is wanted of some mutants of one sequence."""
        if len(places) > 1:
            return self._run(places)
        # What all rows share is told by having a single row, so a mutant is never alone.
        return map_structure(lambda one: one[:1], self._run(places.repeat(2)))

    def _run(self, places: Tensor, spread: int = 0) -> Any:
        rows = self.grid.rows(places)
        inputs = self.model_inputs(rows, self.grid.X[rows[:1]])
        if self._sequence != int(rows[0]):
            self._sequence, self._reference = int(rows[0]), inputs[0].clone()
            self._known = ReferenceOutputs(self._known.weights)
        changed = ChangedTensor(self._windows(places, spread), self._known)
        return map_structure(whole, self.read([changed, *inputs[1:]], rows))

    def _windows(self, places: Tensor, spread: int) -> Windows:
        """Return mutants as windows of the sequence: one that covers all of them, or for each its own positions."""
        letters, positions = self.grid.substitutions(places)
        _, size, length = self._reference.shape
        starts = positions.min().view(1) if self._joined else positions.amin(1)
        width = min(length, int((positions.amax(1) - starts).max()) + 1 + spread)
        starts = starts.clamp(max=length - width)
        values = cut(self._reference, 2, starts, width)
        if self._joined:
            values = values.repeat(len(places), 1, 1)
        each = torch.arange(len(places), device="cpu").unsqueeze(1)
        values[each, :, positions - starts.unsqueeze(1)] = nn.functional.one_hot(letters, size).to(values)
        return PlainWindows(self._reference, values, starts, 2)

    def _succeeds(self, batch: int) -> bool:
        """Return whether two mutants have the outputs that they have in full, for clearly less work."""
        places = self.grid.two_places()
        rows, found, least, best = self.grid.rows(places), list[list[Tensor]](), math.inf, False
        try:
            for joined in self._joins:
                self._joined = joined
                outputs, spent, many = self._trial(places, batch)
                found.append(outputs)
                if spent < WORTH * least:
                    least, self.rows, best = spent, many, joined
            if least > PAYS:
                return False
            self._joined = best
            full = self.read(self.model_inputs(rows, self.grid.mutants(places)), rows)
        except Exception:  # of memory, too: with whole mutants it is halved where it runs out
            return False
        wanted = flatten_structure(full)
        return all(len(one) == len(wanted) and all(map(self._agree, one, wanted)) for one in found)

    def _trial(self, places: Tensor, batch: int) -> tuple[list[Tensor], float, int]:
        """Return what is wanted of two mutants, the share of the work that it takes, and how many to take at a time."""
        known, each = self._known, list[list[Tensor]]()
        spread = self.grid.spread(min(batch, TOGETHER)) if self._joined else 0
        largest = 1
        for one in torch.split(places, 1):
            # What the last one takes is what counts: at an end of the sequence a window is cut short.
            known.begin()
            with LargestOutput(2) as plain:
                each.append(flatten_structure(self._run(one.repeat(2), spread)))
            known, largest = self._known, max(largest, plain.numbers)
        more = 1 if self._joined or not self._near else min(MORE, known.largest // max(known.window, largest))
        many = batch * max(1, more)
        call = EACH_CALL if self._near else EACH_CALL_ELSEWHERE
        spent = known.spent + known.calls * call / (min(batch, TOGETHER) if self._joined else many)
        outputs = [torch.cat([one[:1], other[:1]]) for one, other in zip(*each, strict=True)]
        return outputs, spent / known.whole if known.whole else math.inf, many

    def _agree(self, a: Tensor, b: Tensor) -> bool:
        if a.shape != b.shape or a.dtype != b.dtype or not a.is_floating_point():
            return a.shape == b.shape and torch.equal(a, b)
        largest = float(b.nan_to_num(0, 0, 0).abs().max()) if b.numel() else 0.0
        return torch.allclose(a, b, rtol=0, atol=self.rounding * largest, equal_nan=True)
