"""Add up what the calls of all pairs lose, by operation, module and treatment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqlight.attribution.audit import remedies
from seqlight.attribution.audit.hidden_dependence import Origin
from seqlight.attribution.audit.pairs import Examined

# How many times what is expected of it rounding may be.
FACTOR = 4.0


@dataclass
class Row:
    """What all calls of one operation in one module come to.

    Attributes
    ----------
    operation, module, treatment : str
    losses : torch.Tensor, shape (pairs,)
        By how much they make contributions sum to more than the output difference; empty if refused.
    note : str
        What to do; empty if they lose nothing.
    calls : int
        In one run of the model.
    rounding : torch.Tensor, shape (pairs,)
        The square of how much of `losses` may be rounding.
    """

    operation: str
    module: str
    treatment: str
    losses: Tensor
    note: str = ""
    calls: int = 0
    rounding: Tensor = field(default_factory=lambda: torch.zeros((), device="cpu"))


class Tally:
    """What is lost, and what that is measured by.

    Parameters
    ----------
    examined : sequence of Examined
        All pairs.
    tolerance : float
        Which share of the mean output difference is no rounding.

    Attributes
    ----------
    deltas : torch.Tensor, shape (pairs,)
        Of the pairs that were not refused; by how much contributions sum to more than the output difference.
    rows : list of Row
        In the order of first meeting.
    """

    def __init__(self, examined: Sequence[Examined], tolerance: float) -> None:
        self.tolerance = tolerance
        # Without an explained pair, the calls that were met are listed with no numbers.
        explained = [one for one in examined if one.refused is None]
        self.deltas = _numbers(one.delta for one in explained)
        self._size = float(_numbers(one.difference for one in explained).abs().mean()) if explained else 1.0
        self._pairs = len(explained)
        self.rounding = _numbers(one.rest.rounding if one.rest else 0.0 for one in explained)
        # Outputs that are all the same, of which nothing is lost.
        self.constant = bool(explained) and self._size == 0 and not self.deltas.any()
        self.rows = self._of_calls(explained or examined)
        self.rows += self._of_rests(explained)
        self.rows += _of_refusals(examined)

    def share(self, losses: Tensor) -> float:
        """Return which share of the mean output difference is lost; no number if nothing was explained."""
        return float(losses.abs().mean()) / (self._size or 1.0)

    def loses(self, losses: Tensor, rounding: Tensor | None = None) -> bool:
        """Return whether that is more than rounding, of which the square is expected to be `rounding`."""
        expected = 0.0 if rounding is None else self.share(FACTOR * rounding.sqrt())
        return bool(len(losses)) and not self.share(losses) <= max(self.tolerance, expected)

    def _of_calls(self, examined: Sequence[Examined]) -> list[Row]:
        rows: dict[tuple[str, str, str], Row] = {}
        for call in _calls(examined, self._pairs):
            treatment, note = remedies.treatment(call.manners), ""
            if call.hidden and self.loses(call.losses, call.rounding):
                treatment = "hidden" if treatment == "linear" else treatment
                note = remedies.of_hidden(next((one for one in call.hidden if one is not None), None))
            key = (call.operation, call.module, treatment)
            none = torch.zeros_like(call.losses)
            row = rows.setdefault(key, Row(*key, none, rounding=none))
            row.rounding = row.rounding + call.rounding
            row.losses, row.calls, row.note = row.losses + call.losses, row.calls + 1, row.note or note
        for row in rows.values():
            blame = row.note or remedies.of_loss(row.treatment, row.operation)
            row.note = blame if self.loses(row.losses, row.rounding) else ""
        # What is read from the output is not the model's.
        return [row for row in rows.values() if row.note or row.module or row.treatment != "linear"]

    def _of_rests(self, examined: Sequence[Examined]) -> list[Row]:
        rows: dict[tuple[str, str], Row] = {}
        for i, one in enumerate(examined):
            assert one.rest is not None
            left, none = one.rest, torch.zeros_like(self.deltas)
            new = Row(left.operation, left.module, left.manners[0], none, one.note)
            rows.setdefault((left.operation, left.module), new).losses[i] += left.loss
        return [row for row in rows.values() if self.loses(row.losses, self.rounding)]


@dataclass
class _Call:
    """The same call of all pairs."""

    operation: str
    module: str
    losses: Tensor
    rounding: Tensor
    manners: set[str] = field(default_factory=set)
    hidden: list[Origin | None] = field(default_factory=list)


def _calls(examined: Sequence[Examined], pairs: int) -> list[_Call]:
    """Return the calls of all pairs, brought together by where they stand in the course of the model."""
    calls: dict[tuple[int, str, str], _Call] = {}
    for i, one in enumerate(examined):
        for k, met in enumerate(one.meetings):
            key = (k, met.operation, met.module)
            none = torch.zeros(2, pairs, dtype=torch.float64, device="cpu")
            call = calls.setdefault(key, _Call(met.operation, met.module, none[0], none[1]))
            call.manners.update(met.manners)
            call.hidden.extend(met.hidden)
            if pairs:
                call.losses[i], call.rounding[i] = met.loss, met.rounding
    return list(calls.values())


def _of_refusals(examined: Sequence[Examined]) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for one in examined:
        if one.refused is not None:
            key = (one.refused.operation, one.refused.module)
            how = one.refused.manners[0] if one.refused.manners else "refused"
            rows.setdefault(key, Row(*key, how, _numbers([]), one.note, 1))
    return list(rows.values())


def _numbers(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64, device="cpu")
