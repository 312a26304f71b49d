"""Whether what a model makes of a row is its own: not that of the rows beside it, nor of chance."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.errors import BatchWarning, UnsupportedOperation
from seqlight.prediction.borrowed_model.random_generators import DrawDetector
from seqlight.prediction.inputs import explain_dtype_errors
from seqlight.prediction.process_settings import EAGER
from seqlight.prediction.row_independence.culprit import Culprit, Run
from seqlight.prediction.row_independence.float64 import fine_culprit, in_model_dtype, is_rounding, mixes_in_float64
from seqlight.prediction.row_independence.probe_rows import Row, candidate_places, few_numbers, places_to_ask, spread_of
from seqlight.prediction.row_independence.tolerance import any_far, differ, far, shares_of, tensors_of

# A model that draws numbers is run on so many rows more, and at least so often: what it drops may be rare.
DRAWS, TIMES = 128, 4


class RowProbe:
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
        keeps, places = self.rows < min(rows, 2), candidate_places(rows)
        if keeps:
            # Before the model writes to them.
            self._inputs = [one[places] for one in inputs]
        with explain_dtype_errors(inputs):
            output = self.model(*inputs)
        if keeps:
            self.rows, self._kept = rows, []
            self._keep({i: one.detach() for i, one in enumerate(tensors_of(output)) if _has_rows(one, rows)}, places)
        self._done += rows
        return output

    def _keep(self, outputs: dict[int, Tensor], places: Tensor) -> None:
        """Keep of each output what it is in the row that is chosen, or in both."""
        few = [few_numbers(one, places) if len(places) > 2 else [[0.0]] * len(places) for one in outputs.values()]
        spreads = [spread_of(one) for one in outputs.values()]
        for at in places_to_ask(few):
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
                    told = fine_culprit(self.model, run), when
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
        if not self._far(output, kept, finest=True):
            return "each time" if drew and _by_chance(run, rows, self.rows, func) else ""
        if func is None:
            told = self._far(output, kept) or mixes_in_float64(self.model, run)
        else:
            found, mine = tensors_of(func(output)), [one[place : place + 1] for one in tensors_of(result)]
            told = any_far(self.model, found, mine, rows, finest=True) and (
                any_far(self.model, found, mine, rows) or mixes_in_float64(self.model, lambda rows: func(run(rows)))
            )
        return ("beside other rows" if self.rows > 1 else "each time") if told else ""

    def _far(self, output: Any, kept: list[Row], finest: bool = False) -> bool:
        """Return whether a row has another output than it had, by more than rounding."""
        found = tensors_of(output)
        return any(
            not row.has_again(found[row.place])
            and far(found[row.place], row.output, row.spread, shares_of(self.model, row.output, finest))
            for row in kept
            if row.place < len(found)
        )

    def _run_of(self, at: int) -> Run:
        """Return what runs the model on a row that was kept, as 0, and another one."""
        both = [at, -1 if at == 0 else 0]
        return lambda rows: self.model(
            *in_model_dtype(self.model, [one[[both[row] for row in rows]] for one in self._inputs])
        )


def require_independent_rows(model: nn.Module, run: Run, wanted: Any, batch_size: int) -> None:
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
        # Where both are known the other way round, for one may take something from the first row, or the last. In the
        # middle where one is known, for it may take something from rows before it alone, or behind it; and not in the
        # same place from either end.
        rows = [1, 0] if both else [1, 0, 1, 1][:batch_size]
    with _eager():
        try:
            found, drew = _drawing(model, run, rows)
        except Exception:  # of a model that does not take as many rows: it has not mixed any
            return
        if (drew and _by_chance(run, rows, batch_size)) or _mixes(model, run, found, wanted, rows):
            raise UnsupportedOperation(
                f"the model gives a sequence another output beside another row: {reason(fine_culprit(model, run))}; "
                "explain a model that does not."
            )


def _mixes(model: nn.Module, run: Run, found: Any, wanted: Any, rows: list[int]) -> bool:
    """Return whether rows have other outputs than they had, by more than rounding."""
    both, found = all(len(one) > 1 for one in tensors_of(wanted)), tensors_of(found)

    def apart(finest: bool) -> bool:
        # Where nothing is known of the other one, it is asked for.
        return any_far(model, found, tensors_of(wanted), rows, finest) or (
            1 in rows and not both and _another_alone(model, run, found, rows, finest)
        )

    if not apart(finest=True):
        return False
    return mixes_in_float64(model, run) or (
        apart(finest=False) and not is_rounding(model, run, rows, found, tensors_of(wanted))
    )


def pair_runner(model: nn.Module, first: Sequence[Tensor], read: Callable[[list[Tensor], Tensor], Any]) -> Run:
    """Return what runs a model on a sequence, and on it beside another one.

    Parameters
    ----------
    model : torch.nn.Module
    first : sequence of torch.Tensor, each of one row
        The sequence, one-hot of shape (1, letters, positions), and further inputs, which both rows get.
    read : callable
        Takes inputs and which sequence each row is, and returns what is explained of it.
    """
    # The other is read backwards, in other letters: neither is what one strand is to the other.
    both = [torch.cat([one, one.roll(1, dims=1).flip(2) if not i else one]) for i, one in enumerate(first)]

    def run(rows: Sequence[int]) -> Any:
        with torch.no_grad():
            mine = in_model_dtype(model, [one[list(rows)] for one in both])
            return read(mine, torch.zeros(len(rows), dtype=torch.int64, device="cpu"))

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
    draws = DrawDetector(device)
    return run(rows), draws.has_drawn()


def _by_chance(run: Run, rows: Sequence[int], most: int, func: Callable[[Any], Any] | None = None) -> bool:
    """Return whether a model that draws numbers makes something else of the same rows, at most `most` of them."""
    # As many at a time as the model takes anyway, for each of them has its own draw.
    rows = list(rows) * max(1, min(most, 32) // len(rows))
    output = run(rows)
    others = (run(rows) for _ in range(min(max(DRAWS // len(rows), TIMES), 32)))
    again = next(((one,) for one in others if differ(output, one)), None)
    return again is not None and (func is None or differ(func(output), func(again[0])))


def _another_alone(model: nn.Module, run: Run, found: list[Tensor], rows: list[int], finest: bool) -> bool:
    """Return whether row 1 has another output alone than among `rows`.

    Of two rows the one that is largest, or least, is so alone too, and shows nothing; then the other one does.
    """
    try:
        alone = tensors_of(run([1]))
    except Exception:  # of a model that does not take a single row
        return False
    mine, other = rows.index(1), rows.index(0)
    return any(
        one.is_floating_point() and one.ndim and one.numel() and len(one) == len(rows) and a.ndim and len(a) == 1
        and far(one[[mine]], a.to(one.device), (one[mine] - one[other]).abs(), shares_of(model, one, finest))
        for one, a in zip(found, alone, strict=False)
    )  # fmt: skip


def _has_rows(output: Tensor, rows: int) -> bool:
    # What cannot be computed with is refused by who collects it.
    dense = not output.is_nested and not output.is_meta and output.layout == torch.strided and output.itemsize > 1
    return dense and output.is_floating_point() and output.ndim > 0 and len(output) == rows and output.numel() > 0


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """Run compiled models as they are written: for two rows they would be compiled anew."""
    with EAGER.apply() if "torch._dynamo" in sys.modules else contextlib.nullcontext():
        yield
