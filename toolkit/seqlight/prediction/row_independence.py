"""Whether what a model makes of a row is its own: not that of the rows beside it, nor of chance."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.errors import BatchWarning, UnsupportedOperation
from seqlight.prediction.borrow import floating_dtype
from seqlight.prediction.inputs import dtypes_in_errors
from seqlight.prediction.traces import Culprit, Run, culprit

HALF = (torch.float16, torch.bfloat16)


class Shares(NamedTuple):
    """By what shares of the difference of two outputs, and of their size, an output may be another by rounding."""

    difference: float
    size: float


FINE = Shares(1e-2, 1e-3)
# Of TF32, by which convolutions compute on a GPU, or not, as their shapes are.
MIDDLE = Shares(5e-2, 1e-2)
COARSE = Shares(1e-1, 5e-2)


class Row(NamedTuple):
    """What a model made of the last row of a batch in one of its tensors, and how far the rows lie apart there."""

    place: int
    output: Tensor
    spread: Tensor


class Probe:
    """One row of a call that runs a model over many, to be asked for again beside a copy of itself.

    Parameters
    ----------
    model : torch.nn.Module
        Whose outputs they are.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.rows = 0  # in the batch that the row is from
        self.place = self._done = 0  # of the row among all, and how many those are so far
        self._inputs: list[Tensor] = []
        self._kept: list[Row] = []

    def output(self, inputs: Sequence[Tensor]) -> Any:
        """Return what the model makes of a batch; keep its last row, of the first batch that has several."""
        rows = len(inputs[0])
        keeps = self.rows < min(rows, 2)
        if keeps:
            # Before the model writes to them. The first row is what the last can be beside.
            self._inputs = [one[[-1, 0]] for one in inputs]
        with dtypes_in_errors(inputs):
            output = self.model(*inputs)
        self._done += rows
        if keeps:
            self.place = self._done - 1
            self.rows, self._kept = (
                rows,
                [_row(i, one) for i, one in enumerate(_tensors(output)) if _has_rows(one, rows)],
            )
        return output

    def warn(self, func: Callable[[Any], Any] | None, result: Any, stacklevel: int) -> None:
        """Run the model on the row once more, beside itself, and warn if the output is another.

        Parameters
        ----------
        func : callable, optional
            What becomes of outputs. It is only called where those are others.
        result : anything
            What became of all rows.
        stacklevel : int
            From the caller of this to whom it concerns.
        """
        told = None
        # A model that does not take two rows, say, has nothing to be warned of.
        with contextlib.suppress(Exception), _eager():
            found = self._run(self._asked)
            if self._differ(found) and (func is None or self._changes(func(found), result)):
                told = culprit(self.model, self._run), "beside other rows" if self.rows > 1 else "each time"
        if told is not None:
            warnings.warn(
                f"the model gives a row another output {told[1]}: {reason(told[0])}; what is predicted depends on "
                "batch_size, or on chance.",
                BatchWarning,
                stacklevel=stacklevel + 1,
            )

    @property
    def _asked(self) -> list[int]:
        return [0, 0] if self.rows > 1 else [0]

    def _changes(self, found: Any, result: Any) -> bool:
        mine = [one[self.place : self.place + 1] for one in _tensors(result)]
        return _any_far(self.model, _tensors(found), mine, self._asked)

    def _run(self, rows: Sequence[int]) -> Any:
        return self.model(*(one[list(rows)] for one in self._inputs))

    def _differ(self, output: Any) -> bool:
        found = _tensors(output)
        return any(
            _far(found[row.place], row.output, row.spread, shares_of(self.model, row.output))
            for row in self._kept
            if row.place < len(found)
        )


def require_own_rows(model: nn.Module, run: Run, wanted: Any, batch_size: int) -> None:
    """Raise UnsupportedOperation if a row has another output beside another row, or each time.

    Parameters
    ----------
    model : torch.nn.Module
    run : callable
        Returns what is explained of some of two rows; 0 is the first, 1 is another one.
    wanted : torch.Tensor, or a structure of them, of one or two rows
        The same of the first row, or of both, as it was found before, each in its own batch.
    batch_size : int
        With 1 no row is beside another, so that one is only asked whether it has the same output again.
    """
    rows = [0]
    if batch_size > 1:
        both = all(len(one) > 1 for one in _tensors(wanted))
        # In the middle where one is known, for it may take something from rows before it alone, or behind it.
        rows = [0, 1] if both else [1, 0, 1] if batch_size > 2 else [1, 0]
    with _eager():
        try:
            found = run(rows)
        except Exception:  # of a model that does not take as many rows: it has not mixed any
            return
        if _any_far(model, _tensors(found), _tensors(wanted), rows):
            raise UnsupportedOperation(
                f"the model gives a sequence another output beside another row: {reason(culprit(model, run))}; "
                "explain a model that does not."
            )


def beside_another(first: Sequence[Tensor], read: Callable[[list[Tensor], Tensor], Any]) -> Run:
    """Return what runs a model on a sequence, and on it beside another one.

    Parameters
    ----------
    first : sequence of torch.Tensor, each of one row
        The sequence, one-hot of shape (1, letters, positions), and further inputs, which both rows get.
    read : callable
        Takes inputs and which sequence each row is, and returns what is explained of it.
    """
    # The other is read backwards, in other letters: neither is what one strand is to the other.
    both = [torch.cat([one, one.roll(1, dims=1).flip(2) if not i else one]) for i, one in enumerate(first)]

    def run(rows: Sequence[int]) -> Any:
        with torch.no_grad():
            return read([one[list(rows)] for one in both], torch.zeros(len(rows), dtype=torch.int64))

    return run


def reason(found: Culprit | None) -> str:
    """Return in words what makes outputs depend on more than their row.

    Examples
    --------
    >>> reason(Culprit("softmax", " in module 'pool' (Softmax)"))
    "it mixes the rows of a batch or draws random numbers, first by `softmax` in module 'pool' (Softmax)"
    """
    if found is None:
        where = ", as softmax(0), mean(0), batch statistics and dropout do"
    else:
        where = f", first by {'' if found.seen else 'what comes into '}`{found.operation}`{found.place}"
    return f"it mixes the rows of a batch or draws random numbers{where}"


def shares_of(model: nn.Module, output: Tensor) -> Shares:
    """Return how much of an output may be rounding, as precise as `model` computes."""
    coarse = output.dtype in HALF or floating_dtype(model, output) in HALF
    if coarse or torch.is_autocast_enabled(output.device.type):
        return COARSE
    return FINE if output.device.type == "cpu" else MIDDLE


def _any_far(model: nn.Module, found: list[Tensor], wanted: list[Tensor], rows: list[int]) -> bool:
    """Return whether any output of some rows is another than wanted of the first, or of both."""
    for one, other in zip(found, wanted, strict=False):
        if one.ndim and other.ndim and one.numel() and other.numel() and len(one) == len(rows):
            there = one.to(other.device)
            other_row = there[rows.index(1)] if 1 in rows else other[-1]
            difference = (other[0] - (other[1] if len(other) > 1 else other_row)).abs()
            at = [i for i, row in enumerate(rows) if row < len(other)]
            if _far(there[at], other[[rows[i] for i in at]], difference, shares_of(model, one)):
                return True
    return False


def _far(found: Tensor, wanted: Tensor, difference: Tensor, shares: Shares) -> bool:
    """Return whether outputs are others than wanted, by more than rounding."""
    if found.shape[1:] != wanted.shape[1:] or not found.is_floating_point():
        return False
    size = wanted.abs().amax(dim=0)
    # What is no sequence of targets is as large as the largest of its numbers.
    size = size if wanted.ndim == 2 and difference.ndim else size.amax()
    # Asked this way round, what is no number passes: that is told elsewhere.
    return bool(((found - wanted).abs() > shares.difference * difference + shares.size * size + 1e-12).any())


def _row(place: int, output: Tensor) -> Row:
    spread = output.amax(dim=0) - output.amin(dim=0)
    return Row(place, output[-1:].clone(), spread.amax())


def _has_rows(output: Tensor, rows: int) -> bool:
    return output.is_floating_point() and output.ndim > 0 and len(output) == rows and output.numel() > 0


def _tensors(tree: Any) -> list[Tensor]:
    """Return the tensors of an output, whatever it is built of, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        return [one for part in tree.values() for one in _tensors(part)]
    if isinstance(tree, tuple | list):
        return [one for part in tree for one in _tensors(part)]
    if is_dataclass(tree):
        return [one for field in fields(tree) for one in _tensors(getattr(tree, field.name))]
    return []


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """Run compiled models as they are written: for two rows they would be compiled anew."""
    with torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else contextlib.nullcontext():
        yield
