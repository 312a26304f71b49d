"""Saturation mutagenesis: the output of a model for every sequence that differs in one character."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.attribution.arguments import check_arguments
from seqlight.attribution.methods.mutant_grid import MutantGrid, find_region
from seqlight.attribution.methods.mutant_outputs import MutantOutputs
from seqlight.attribution.methods.pair_grid import PairGrid
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, UnsupportedOperation, kind_of
from seqlight.notebook.array_lines import array_lines
from seqlight.prediction.arguments import HALF, autocast
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.prediction.input_errors import explain_input_errors
from seqlight.prediction.outputs import map_structure
from seqlight.prediction.progress import open_progress
from seqlight.sequence.checks import require_dense
from seqlight.targets.contrast import Target


class MutagenesisOutputs(NamedTuple):
    """The outputs of a model for sequences and for all their mutants.

    Attributes
    ----------
    y0 : torch.Tensor, shape (sequences, ...), or tuples, lists and dicts of them
        For the sequences.
    y_hat : torch.Tensor, shape (sequences, letters, positions, ...), or the same structure of them
        For each sequence with that letter at that position; `y0` where it has that letter already. With `pairwise`,
        shape (sequences, letters, positions, letters, distances, ...): of the first and the second substitution.
    """

    y0: Any
    y_hat: Any

    def __repr__(self) -> str:
        return array_lines(type(self).__name__, self._asdict())


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
    pairwise: bool = False,
    max_distance: int | None = None,
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
        Mutants per batch, as in :func:`seqlight.predict`. It does not change the result. On the CPU there may be up to
        four times as many where only what they change is computed, if they take no more memory.
    target : any target of :func:`seqlight.attribute`, optional
        Which output to explain. None for the mean over all of the model's outputs. A list of targets gives the
        result a second dimension, of targets, and the last one of what `raw_outputs` returns.
    hypothetical : bool
        Return the attribution of every letter at each position, not only of the letters of the sequence. Not used with
        `pairwise`, which returns those of all letters.
    raw_outputs : bool
        Return the model's outputs, all of them or the `target`, and no attributions.
    dtype : torch.dtype or str, optional
        float16 and bfloat16 run under autocast, any other dtype is given to the parameters. None for the model's own.
    device, verbose, precision
        As in :func:`seqlight.deep_lift_shap`.
    func : callable, optional
        Applied to the output of each batch, before `target`.

    pairwise : bool
        Substitute letters at two positions at a time, and return how far the effect of both differs from the sum of
        those of each alone (epistasis), in place of attributions.
    max_distance : int, optional
        With `pairwise`, how far apart the two positions may be at most; None for all pairs of the region.

    Returns
    -------
    torch.Tensor, shape (sequences, letters, positions from `start` to `end`), on the CPU
        float64 if the model computes in it, else float32; with `raw_outputs` a :class:`MutagenesisOutputs`. With
        `pairwise`, shape (sequences, letters, positions, letters, distances): at [n, a, i, b, d] the interaction of
        letter a at position i with letter b at position i + d + 1, which is the output with both, minus that with a,
        minus that with b, plus that of the sequence; 0 where one of them is there already, or beyond the region.

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
    >>> saturation_mutagenesis(model, X, target=1, pairwise=True, max_distance=3).shape
    torch.Size([2, 4, 20, 4, 3])
    """
    if max_distance is not None and not pairwise:
        raise InputError(f"max_distance is {max_distance} without pairs: expected pairwise=True with it.")
    checked = check_arguments(model, X, args, batch_size, dtype, device, precision)
    X, size, dtype = checked.X, checked.size, checked.dtype
    X = X.cpu()  # where mutants are made, while the device computes others
    region = find_region(start, end, X.shape[2])
    grid, pairs = MutantGrid(X, *region), PairGrid(X, *region, max_distance) if pairwise else None
    grids = [grid] if pairs is None else [grid, pairs]
    targets = None if target is None else Targets(target, len(X)).without_constants("saturation_mutagenesis")
    # In float64, so that a change that is small compared with the output keeps its digits.
    place = checked.device if has_float64(checked.device) else torch.device("cpu")

    def read(inputs: Sequence[Any], rows: Tensor) -> Any:
        with explain_input_errors(inputs):
            if targets is not None:
                return targets.read_model(model, inputs, rows, func).to(place).double()
            output = model(*inputs)
        output = output if func is None else func(output)
        return output if raw_outputs else _mean(output, len(rows), place)

    with (
        hold_precision(checked.precision, checked.device),
        borrow(model, checked.device, None if dtype in HALF else dtype),
        torch.no_grad(),
        torch.autocast(checked.device.type, enabled=False),  # of the caller: effects are small differences
        autocast(checked.device, dtype),
        open_progress(sum(one.shape.numel() for one in grids), "mutants", show=verbose) as bar,
    ):
        result_dtype = torch.float64 if floating_dtype(model, X) == torch.float64 else torch.float32
        outputs = MutantOutputs(checked, X, read)
        y0 = outputs.of_sequences()

        def of_sequences(places: Tensor) -> Any:
            rows = grid.rows(places)
            return map_structure(lambda one: one[rows], y0)

        def change(y: Any, places: Tensor) -> Any:
            return y if raw_outputs or pairs else (y - y0[grid.rows(places)]).to(result_dtype)

        found = outputs.of_mutants(grid, of_sequences, change, bar.update)
        if pairs is not None:
            found = _of_pairs(outputs, pairs, found, None if raw_outputs else y0, result_dtype, bar.update)
    size.warn_if_reduced(stacklevel=2)
    shape, order = (grid.shape, (0, 2, 1)) if pairs is None else (pairs.shape, (0, 3, 1, 4, 2))
    if raw_outputs:
        if targets is not None:
            y0, found = (one if targets.several else one[:, 0] for one in (y0.to(result_dtype), found.to(result_dtype)))
        return MutagenesisOutputs(y0, map_structure(partial(_by_letter, shape=shape, order=order), found))
    changes = _by_letter(found, shape, order).movedim(-1, 1)
    if targets is None or not targets.several:
        changes = changes.squeeze(1)
    return changes if pairs is not None else _attributions(changes, None if hypothetical else grid.region)


def _of_pairs(
    outputs: MutantOutputs,
    pairs: PairGrid,
    singles: Any,
    y0: Tensor | None,
    dtype: torch.dtype,
    advance: Callable[[int], Any],
) -> Any:
    """Return the outputs for pairs, or their interactions if the outputs for the sequences are given."""

    def finish(y: Any, places: Tensor) -> Any:
        return y if y0 is None else pairs.interactions(y, places, singles, y0).to(dtype)

    return outputs.of_mutants(pairs, lambda places: pairs.outputs_of_singles(places, singles), finish, advance)


def _by_letter(found: Tensor, shape: torch.Size, order: tuple[int, ...]) -> Tensor:
    """Return the numbers of the places of a grid, with its dimensions in another order."""
    grid = found.view(*shape, *found.shape[1:])
    return grid.permute(*order, *range(len(shape), grid.ndim))


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


def _attributions(changes: Tensor, X: Tensor | None) -> Tensor:
    """Return `changes` (sequences, ..., letters, positions), centred over letters and masked by `X`."""
    changes -= changes.mean(dim=-2, keepdim=True)
    if X is not None:
        changes *= X.to(changes).view(len(X), *[1] * (changes.ndim - 3), *X.shape[1:])
    return changes.contiguous()
