"""Saturation mutagenesis: the output of a model for every sequence that differs in one character."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.attribution.arguments import check_arguments
from seqlight.attribution.methods.changed_mutants import ChangedMutants, most_work
from seqlight.attribution.methods.mutant_grid import MutantGrid, find_region
from seqlight.attribution.targets import Target, Targets
from seqlight.errors import InputError, UnsupportedOperation, kind_of
from seqlight.prediction.arguments import HALF, autocast
from seqlight.prediction.batch_size import AskedBatchSize, BatchSize
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.prediction.host_copies import HostCopy, overlap
from seqlight.prediction.input_errors import explain_dtype_errors
from seqlight.prediction.outputs import OutputCollector, flatten_structure, map_structure
from seqlight.prediction.progress import open_progress
from seqlight.prediction.row_independence.check import pair_runner, require_independent_rows
from seqlight.sequence.checks import require_dense


class MutagenesisOutputs(NamedTuple):
    """The outputs of a model for sequences and for all their mutants.

    Attributes
    ----------
    y0 : torch.Tensor, shape (sequences, ...), or tuples, lists and dicts of them
        For the sequences.
    y_hat : torch.Tensor, shape (sequences, letters, positions, ...), or the same structure of them
        For each sequence with that letter at that position; `y0` where it has that letter already.
    """

    y0: Any
    y_hat: Any


def saturation_mutagenesis(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    start: int = 0,
    end: int | None = -1,
    batch_size: AskedBatchSize = "auto",
    target: Target | None = None,
    hypothetical: bool = False,
    raw_outputs: bool = False,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    verbose: bool = False,
    func: Callable[[Any], Any] | None = None,
    *,
    precision: Precision = None,
) -> Tensor | MutagenesisOutputs:
    """Substitute every letter at every position, one at a time, and attribute to each the change of the output.

    The attribution of a letter at a position is the output with that letter there, minus the mean over all letters
    there. An unknown character is replaced by each letter in turn like any other: it has hypothetical attributions, and
    attributions of zero. The model is used in evaluation mode and returned exactly as it was.

    Where it saves work, only what a substitution changes is computed: the positions of each layer that see it. All
    else is that of the sequence, which is computed once. Two mutants are computed in both ways first; where they
    differ by more than rounding, or little would be saved, as in transformers, each mutant is computed in full.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; its mutants get the same row.
    start : int
        The first position to mutate.
    end : int, optional
        The position after the last one to mutate. Negative numbers count from after the last position: -1, like None,
        means through the last one. (This differs from ``X[:, :, start:-1]``, and from what -1 means to
        :func:`seqlight.shuffle`.)
    batch_size : int or "auto"
        Mutants per batch, as in :func:`seqlight.predict`. It does not change the result.
    target : any target of :func:`seqlight.attribute`, optional
        Which output to explain. None for the mean over all of the model's outputs. A list of targets gives the
        result a second dimension, of targets. Not used with `raw_outputs`.
    hypothetical : bool
        Return the attribution of every letter at each position, not only of the letters of the sequence.
    raw_outputs : bool
        Return the model's outputs, and no attributions.
    dtype : torch.dtype or str, optional
        float16 and bfloat16 run under autocast, any other dtype is given to the parameters. None for the model's own.
    device, verbose, precision
        As in :func:`seqlight.deep_lift_shap`.
    func : callable, optional
        Applied to the output of each batch, before `target`.

    Returns
    -------
    torch.Tensor, shape (sequences, letters, positions from `start` to `end`), on the CPU
        float64 if the model computes in it, else float32; with `raw_outputs` a :class:`MutagenesisOutputs`.

    Raises
    ------
    InputError
        If an argument cannot be used, or an output has no row for each input.
    OutOfMemory
        If the device has not enough memory for a single mutant.
    UnsupportedOperation
        If a model that returns several tensors is explained without a `func` or `target` that chooses one.

    Warns
    -----
    MemoryWarning
        If fewer mutants at a time fit into memory than `batch_size`.

    References
    ----------
    Zhou and Troyanskaya (2015), Predicting effects of noncoding variants with deep learning-based sequence
    model. The centring: Majdandzic et al. (2023), Correcting gradient-based interpretations of deep neural
    networks for genomics.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight import saturation_mutagenesis
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3))
    >>> X = sl.random_one_hot((2, 4, 20))
    >>> saturation_mutagenesis(model, X, target=1, start=5, end=15).shape
    torch.Size([2, 4, 10])
    >>> y0, y_hat = saturation_mutagenesis(model, X, raw_outputs=True)
    >>> y0.shape, y_hat.shape
    (torch.Size([2, 3]), torch.Size([2, 4, 20, 3]))
    """
    checked = check_arguments(model, X, args, batch_size, dtype, device, precision)
    X, size, dtype = checked.X, checked.size, checked.dtype
    X = X.cpu()  # where mutants are made, while the device computes others
    grid = MutantGrid(X, *find_region(start, end, X.shape[2]))
    targets = None if target is None else Targets(target, len(X)).without_constants("saturation_mutagenesis")
    # In float64, so that a change that is small compared with the output keeps its digits.
    place = checked.device if has_float64(checked.device) else torch.device("cpu")

    def read(inputs: Sequence[Any], rows: Tensor) -> Any:
        with explain_dtype_errors(inputs):
            if targets is not None and not raw_outputs:
                return targets.read_model(model, inputs, rows, func).to(place).double()
            output = model(*inputs)
        output = output if func is None else func(output)
        return output if raw_outputs else _mean(output, len(rows), place)

    def run(batch: Tensor, rows: Tensor) -> Any:
        return read(checked.inputs(rows, batch), rows)

    def run_sequences(first: int, last: int) -> Any:
        rows = torch.arange(first, last, device="cpu")
        return run(X[rows], rows)

    def run_mutants(places: Tensor, first: int, last: int) -> HostCopy:
        some = places[first:last]
        parts = changed.outputs(some, size.rows)
        if parts is None:
            parts = [(run(grid.mutants(some), grid.rows(some)), len(some))]
        outputs = [flatten_structure(own.check(output, rows)) for output, rows in parts]
        return HostCopy(outputs[0] if len(outputs) == 1 else [torch.cat(each) for each in zip(*outputs, strict=True)])

    own, found = OutputCollector(len(X)), OutputCollector(grid.shape.numel())

    def launch(y0: Any) -> Iterator[tuple[HostCopy, tuple[Any, Tensor, Tensor, bool]]]:
        for places, new in grid.batches(size):
            rows = grid.rows(places)
            y = map_structure(lambda one, rows=rows: one[rows], y0)
            for at, copy, complete in _copies_of_outputs(size, new, partial(run_mutants, places[new])):
                yield copy, (y, rows, at, complete)
                del copy

    with (
        hold_precision(checked.precision, checked.device),
        borrow(model, checked.device, None if dtype in HALF else dtype),
        torch.no_grad(),
        autocast(checked.device, dtype),
        open_progress(found.rows, "mutants", show=verbose) as bar,
    ):
        result_dtype = torch.float64 if floating_dtype(model, X) == torch.float64 else torch.float32
        for output, n in size.parts(0, len(X), run_sequences):
            own.add(output, n)
            del output
        computed_in = None if dtype in HALF else floating_dtype(model, X)
        work = most_work(model, X.shape[2])
        changed = ChangedMutants(grid, checked.inputs, read, computed_in, checked.device, work)
        again = pair_runner(model, [X[:1]], lambda some, which: run(some[0], which))
        y0 = own.result()
        require_independent_rows(model, again, map_structure(lambda y: y[:1], y0), size.rows)
        for outputs, (y, rows, at, complete) in overlap(launch(y0)):
            _write(y, at, outputs)
            if complete:
                found.add(y if raw_outputs else (y - y0[rows]).to(result_dtype), len(rows))
                bar.update(len(rows))
    size.warn_if_reduced(stacklevel=2)
    if raw_outputs:
        by_letter = map_structure(lambda one: one.view(*grid.shape, *one.shape[1:]).transpose(1, 2), found.result())
        return MutagenesisOutputs(y0, by_letter)
    changes = found.result().view(*grid.shape, -1).permute(0, 3, 2, 1)
    several = targets is not None and targets.several
    return _attributions(changes if several else changes.squeeze(1), None if hypothetical else grid.region)


def _mean(output: Any, rows: int, device: torch.device) -> Tensor:
    """Return the mean over all outputs of each row, float64, shape (rows, 1), computed on a device that has it."""
    if not isinstance(output, Tensor):
        raise UnsupportedOperation(
            f"the model returns {kind_of(output)}: expected one tensor; choose one with `func` or `target`, pass "
            "raw_outputs=True, or look for a missing `return` in forward."
        )
    require_dense(output, "the model's output")
    # A model that squeezes its output removes the dimension of a single row.
    if rows > 1 and (not output.ndim or len(output) != rows):
        raise InputError(
            f"the model turned {rows} rows into an output of shape {tuple(output.shape)}: expected one row for each."
        )
    return output.to(device).double().reshape(rows, -1).mean(dim=1, keepdim=True)


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


def _attributions(changes: Tensor, X: Tensor | None) -> Tensor:
    """Return `changes` (sequences, ..., letters, positions), centred over letters and masked by `X`."""
    changes -= changes.mean(dim=-2, keepdim=True)
    if X is not None:
        changes *= X.to(changes).view(len(X), *[1] * (changes.ndim - 3), *X.shape[1:])
    return changes.contiguous()
