"""The outputs of a model for all mutants of a grid, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.arguments import CheckedArguments
from seqlight.attribution.methods.changed_mutants import ChangedMutants, most_work
from seqlight.attribution.methods.mutant_grid import MutantGrid
from seqlight.prediction.arguments import HALF
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.host_copies import HostCopy, overlap
from seqlight.prediction.outputs import OutputCollector, flatten_structure, map_structure
from seqlight.prediction.row_independence.check import pair_runner, require_independent_rows


class MutantOutputs:
    """Runs a borrowed model on sequences and on their mutants.

    Parameters
    ----------
    checked : CheckedArguments
        With the model as it is borrowed.
    X : torch.Tensor, shape (sequences, letters, positions), on the CPU
        One-hot.
    read : callable
        Takes inputs of the model and rows, runs it, and returns what is wanted of its output.
    """

    def __init__(self, checked: CheckedArguments, X: Tensor, read: Callable[[Sequence[Any], Tensor], Any]) -> None:
        self.checked, self.X, self.read, self.size = checked, X, read, checked.size
        self._own = OutputCollector(len(X))

    def of_sequences(self) -> Any:
        """Return what is wanted of the outputs for the sequences, before any mutant."""

        def run(first: int, last: int) -> Any:
            rows = torch.arange(first, last, device="cpu")
            return self._run(self.X[rows], rows)

        for output, n in self.size.parts(0, len(self.X), run):
            self._own.add(output, n)
            del output
        model = self.checked.model
        again, y0 = pair_runner(model, [self.X[:1]], lambda some, rows: self._run(some[0], rows)), self._own.result()
        require_independent_rows(model, again, map_structure(lambda y: y[:1], y0), self.size.rows)
        return y0

    def of_mutants(
        self,
        grid: MutantGrid,
        without: Callable[[Tensor], Any],
        finish: Callable[[Any, Tensor], Any],
        advance: Callable[[int], Any],
    ) -> Any:
        """Return what is wanted of the outputs for all places of a grid.

        Parameters
        ----------
        grid : MutantGrid
        without : callable
            Takes places and returns what those have that have no mutant.
        finish : callable
            Takes the outputs of places, and these, and returns what is kept.
        advance : callable
            Is told how many further places are done.
        """
        model, dtype = self.checked.model, self.checked.dtype
        computed_in = None if dtype in HALF else floating_dtype(model, self.X)
        work = most_work(model, self.X.shape[2])
        changed = ChangedMutants(grid, self.checked.inputs, self.read, computed_in, self.checked.device, work)
        found = OutputCollector(grid.shape.numel())
        for outputs, (y, places, at, complete) in overlap(self._launch(grid, changed, without)):
            _write(y, at, outputs)
            if complete:
                found.add(finish(y, places), len(places))
                advance(len(places))
        return found.result()

    def _run(self, batch: Tensor, rows: Tensor) -> Any:
        return self.read(self.checked.inputs(rows, batch), rows)

    def _launch(
        self, grid: MutantGrid, changed: ChangedMutants, without: Callable[[Tensor], Any]
    ) -> Iterator[tuple[HostCopy, tuple[Any, Tensor, Tensor, bool]]]:
        rows = changed.decide(self.size.rows)
        size = self.size if rows == self.size.rows else BatchSize(rows, self.checked.device)
        for places, new in grid.batches(size):
            y = without(places)
            run = partial(self._copy, grid, changed, places[new])
            for at, copy, complete in _copies_of_outputs(size, new, run):
                yield copy, (y, places, at, complete)
                del copy

    def _copy(self, grid: MutantGrid, changed: ChangedMutants, places: Tensor, first: int, last: int) -> HostCopy:
        """Return the outputs of some mutants, on their way to the host."""
        some = places[first:last]
        parts = changed.outputs(some)
        if parts is None:
            few = torch.split(some, self.size.rows)
            parts = [(self._run(grid.mutants(one), grid.rows(one)), len(one)) for one in few]
        outputs = [flatten_structure(self._own.check(output, rows)) for output, rows in parts]
        return HostCopy(outputs[0] if len(outputs) == 1 else [torch.cat(each) for each in zip(*outputs, strict=True)])


def _copies_of_outputs(
    size: BatchSize, new: Tensor, run: Callable[[int, int], HostCopy]
) -> Iterator[tuple[Tensor, HostCopy, bool]]:
    """Yield the indices of some places that have a mutant, as `new` says, their outputs, and whether no more follow."""
    at, done = new.nonzero().flatten(), 0
    if not len(at):
        yield at, HostCopy([]), True
    for copy, n in size.parts(0, len(at), run):
        done += n
        yield at[done - n : done], copy, done == len(at)
        del copy


def _write(y: Any, at: Tensor, outputs: list[Tensor]) -> None:
    """Write the outputs of mutants to their places; there are none if none of these places has a mutant."""
    for whole, some in zip(flatten_structure(y), outputs, strict=False):
        whole[at] = some.to(whole)
