"""Whether what a model makes of a row is its own: not that of the rows beside it, nor of chance."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.errors import BatchWarning, UnsupportedOperation
from seqlight.prediction.differences import any_far, differ, far, shares_of, tensors_of
from seqlight.prediction.generators import Draws
from seqlight.prediction.inputs import dtypes_in_errors
from seqlight.prediction.settings import EAGER
from seqlight.prediction.traces import Culprit, Run, culprit

# So many rows of a batch, far from each other, are looked at to choose one.
CANDIDATES = 7
# How far rows lie apart is seen from so many of them, or a few more.
SPREAD = 32
# Rows of more numbers are described by so many, and outputs of no more in all are looked at in Python.
MANY, SMALL = 16, 256
# So often a model that draws numbers is run on the same rows: what it drops may be rare.
TIMES = 4


class Row(NamedTuple):
    """What a model made of a row of a batch in one of its tensors, and how far the rows lie apart there."""

    place: int
    output: Tensor
    spread: float


class Probe:
    """A row of a call that runs a model over many, to be asked for again beside a copy of itself; of two rows, both.

    Parameters
    ----------
    model : torch.nn.Module
        Whose outputs they are.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.rows = self._done = 0  # in the batch that the row is from, and of all batches so far
        self._inputs: list[Tensor] = []  # of some rows of that batch
        self._kept: list[tuple[int, int, list[Row]]] = []  # of each row to ask for: where it is there, and among all

    def output(self, inputs: Sequence[Tensor]) -> Any:
        """Return what the model makes of a batch; keep some rows of the first batch that has several."""
        rows = len(inputs[0])
        keeps, places = self.rows < min(rows, 2), _places(rows)
        if keeps:
            # Before the model writes to them.
            self._inputs = [one[places] for one in inputs]
        with dtypes_in_errors(inputs):
            output = self.model(*inputs)
        if keeps:
            self.rows, self._kept = rows, []
            self._keep({i: one.detach() for i, one in enumerate(tensors_of(output)) if _has_rows(one, rows)}, places)
        self._done += rows
        return output

    def _keep(self, outputs: dict[int, Tensor], places: Tensor) -> None:
        """Keep of each output what it is in the row that is chosen, or in both."""
        few = [_few_numbers(one, places) for one in outputs.values()]
        spreads = [_spread(one) for one in outputs.values()]
        for at in _to_ask(few):
            place = int(places[at])
            rows = [
                Row(i, one[place : place + 1].clone(), spread)
                for (i, one), spread in zip(outputs.items(), spreads, strict=True)
            ]
            self._kept.append((at, self._done + place, rows))

    def warn(self, func: Callable[[Any], Any] | None, result: Any, stacklevel: int) -> None:
        """Run the model on the row once more, beside itself, and warn if the output is another.

        Where it draws random numbers it is run again, for these may change little, and seldom.

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
            for at, place, kept in self._kept:
                run, when = self._run_of(at), self._differs(at, place, kept, func, result)
                if when:
                    told = culprit(self.model, run), when
                    break
        if told is not None:
            warnings.warn(
                f"the model gives a row another output {told[1]}: {reason(told[0])}; what is predicted depends on "
                "batch_size, or on chance.",
                BatchWarning,
                stacklevel=stacklevel + 1,
            )

    def _differs(self, at: int, place: int, kept: list[Row], func: Callable[[Any], Any] | None, result: Any) -> str:
        """Return in words when a row has another output than it had, or nothing."""
        # Of two rows the first is asked for alone, for how many rows there are may count.
        run, rows = self._run_of(at), [0, 0] if self.rows > 1 and (self.rows > 2 or at) else [0]
        output, drew = _drawing(self.model, run, rows)
        found = tensors_of(output)
        if any(
            far(found[row.place], row.output, row.spread, shares_of(self.model, row.output))
            for row in kept
            if row.place < len(found)
        ):
            mine = [one[place : place + 1] for one in tensors_of(result)]
            if func is None or any_far(self.model, tensors_of(func(output)), mine, rows):
                return "beside other rows" if self.rows > 1 else "each time"
            return ""
        again = _another_time(output, run, rows) if drew else None
        return "each time" if again and (func is None or differ(func(output), func(again[0]))) else ""

    def _run_of(self, at: int) -> Run:
        """Return what runs the model on a row that was kept, as 0, and another one."""
        both = [at, -1 if at == 0 else 0]
        return lambda rows: self.model(*(one[[both[row] for row in rows]] for one in self._inputs))


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
    rows, both = [0], all(len(one) > 1 for one in tensors_of(wanted))
    if batch_size > 1:
        # In the middle where one is known, for it may take something from rows before it alone, or behind it.
        rows = [0, 1] if both else [1, 0, 1] if batch_size > 2 else [1, 0]
    with _eager():
        try:
            found, drew = _drawing(model, run, rows)
        except Exception:  # of a model that does not take as many rows: it has not mixed any
            return
        if (
            any_far(model, tensors_of(found), tensors_of(wanted), rows)
            or (drew and _another_time(found, run, rows))
            # Where nothing is known of the other one.
            or (1 in rows and not both and _another_alone(model, run, tensors_of(found), rows))
        ):
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
            return read([one[list(rows)] for one in both], torch.zeros(len(rows), dtype=torch.int64, device="cpu"))

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


def _drawing(model: nn.Module, run: Run, rows: Sequence[int]) -> tuple[Any, bool]:
    """Return what a model makes of some rows, and whether any number was drawn meanwhile."""
    device = next((one.device for one in model.parameters()), torch.device("cpu"))
    draws = Draws(device)
    return run(rows), draws.seen()


def _another_time(output: Any, run: Run, rows: Sequence[int]) -> tuple[Any] | None:
    """Return what a model that draws numbers makes of the same rows when it is something else, in a tuple."""
    return next(((again,) for again in (run(rows) for _ in range(TIMES)) if differ(output, again)), None)


def _another_alone(model: nn.Module, run: Run, found: list[Tensor], rows: list[int]) -> bool:
    """Return whether row 1 has another output alone than among `rows`.

    Of two rows the one that is largest, or least, is so alone too, and shows nothing; then the other one does.
    """
    try:
        alone = tensors_of(run([1]))
    except Exception:  # of a model that does not take a single row
        return False
    mine, other = rows.index(1), rows.index(0)
    return any(
        one.ndim and one.numel() and len(one) == len(rows) and a.ndim and len(a) == 1
        and far(one[[mine]], a.to(one.device), (one[mine] - one[other]).abs(), shares_of(model, one))
        for one, a in zip(found, alone, strict=False)
    )  # fmt: skip


@lru_cache
def _places(rows: int) -> Tensor:
    """Return the places of some of so many rows, the first and the last among them."""
    n = min(rows, CANDIDATES)
    return torch.tensor([i * (rows - 1) // max(n - 1, 1) for i in range(n)], device="cpu")


def _few_numbers(output: Tensor, places: Tensor) -> list[list[float]]:
    """Return few numbers of each of some rows: of many, the largest and the least of each of some parts."""
    rows = output[places].flatten(1) if output.ndim > 1 else output[places, None]
    if rows.shape[1] > MANY:
        width = rows.shape[1] // (MANY // 2)
        parts = rows[:, : width * (MANY // 2)].reshape(len(rows), MANY // 2, width)
        ends = [parts.amax(dim=2), parts.amin(dim=2), *torch.aminmax(rows, dim=1, keepdim=True)]
        rows = torch.cat(ends, dim=1)
    return [[x if x == x else 0.0 for x in row] for row in rows.tolist()]


def _spread(output: Tensor) -> float:
    """Return how far rows lie apart at most in a number."""
    if output.numel() <= SMALL and output.ndim == 2:
        # In Python, which is quicker for so few.
        columns: Iterator[tuple[float, ...]] = zip(*output.tolist(), strict=True)
        return max(max(column) - min(column) for column in columns)
    some = output[:: 1 + len(output) // SPREAD]
    return float((some.amax(dim=0) - some.amin(dim=0)).max())


def _to_ask(outputs: Sequence[list[list[float]]]) -> list[int]:
    """Return which of some rows to ask for again: of two rows both.

    Neither the largest nor the least by its output, for beside itself that is so too; nor like the mean of all.
    """
    rows = range(len(outputs[0]) if outputs else 0)
    if len(rows) < 3:
        return list(rows)[::-1]
    # In how many of its numbers, in all, and by its largest, a row is at the end.
    ends, sums = [0.0 for _ in rows], [sum(sum(one[row]) for one in outputs) for row in rows]
    for one in outputs:
        sizes = [max(map(abs, row)) for row in one]
        largest, columns = max(sizes), list(zip(*one, strict=True))
        for column in columns:
            high, low = max(column), min(column)
            for row in rows:
                if column[row] == high or column[row] == low:
                    ends[row] += 1 / len(columns)
        for row in rows:
            ends[row] += sizes[row] == largest
    order = sorted(rows, key=sums.__getitem__)
    ends[order[0]] += 1
    ends[order[-1]] += 1
    start = min(len(rows) * 3 // 4, len(rows) - 2)
    return [min(order[start:] + order[:start], key=ends.__getitem__)]


def _has_rows(output: Tensor, rows: int) -> bool:
    # What cannot be computed with is refused by who collects it.
    dense = not output.is_nested and not output.is_meta and output.layout == torch.strided and output.itemsize > 1
    return dense and output.is_floating_point() and output.ndim > 0 and len(output) == rows and output.numel() > 0


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """Run compiled models as they are written: for two rows they would be compiled anew."""
    with EAGER.applied() if "torch._dynamo" in sys.modules else contextlib.nullcontext():
        yield
