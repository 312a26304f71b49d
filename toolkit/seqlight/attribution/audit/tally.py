"""Sum the losses of the calls of all pairs by operation, module and treatment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqlight.attribution.audit import remedies
from seqlight.attribution.audit.hidden_dependence import Origin
from seqlight.attribution.audit.pair_auditor import AuditedPair

# Rounding may be this many times its expected size.
ROUNDING_FACTOR = 4.0


@dataclass
class LossRow:
    """The sum over all calls of one operation in one module.

    Attributes
    ----------
    operation, module, treatment : str
    losses : torch.Tensor, shape (pairs,)
        By how much the calls raise the sum of the contributions above the output difference; empty if refused.
    note : str
        What to do about it; empty if nothing is lost.
    calls : int
        The number of calls in one run of the model.
    rounding : torch.Tensor, shape (pairs,)
        The square of the rounding error expected in `losses`.
    """

    operation: str
    module: str
    treatment: str
    losses: Tensor
    note: str = ""
    calls: int = 0
    rounding: Tensor = field(default_factory=lambda: torch.zeros((), device="cpu"))


class LossTally:
    """Losses by operation, module and treatment, as shares of the mean output difference.

    Parameters
    ----------
    examined : sequence of AuditedPair
        All pairs.
    tolerance : float
        The share of the mean output difference up to which a loss counts as rounding.

    Attributes
    ----------
    deltas : torch.Tensor, shape (pairs,)
        Sums of contributions minus output differences, of the pairs that were not refused.
    rows : list of LossRow
        In the order of first calls.
    """

    def __init__(self, examined: Sequence[AuditedPair], tolerance: float) -> None:
        self.tolerance = tolerance
        # If no pair could be explained, its calls are listed without numbers.
        explained = [one for one in examined if one.refused is None]
        self.deltas = _numbers(one.delta for one in explained)
        self._size = float(_numbers(one.difference for one in explained).abs().mean()) if explained else 1.0
        self._pairs = len(explained)
        self.rounding = _numbers(one.remainder.rounding if one.remainder else 0.0 for one in explained)
        # Whether all outputs are the same, so that there is nothing to lose.
        self.constant = bool(explained) and self._size == 0 and not self.deltas.any()
        self.rows = self._rows_of_calls(explained or examined)
        self.rows += self._rows_of_remainders(explained)
        self.rows += _rows_of_refusals(examined)

    def share(self, losses: Tensor) -> float:
        """Return the mean loss as a share of the mean output difference; NaN if no pair was explained."""
        return float(losses.abs().mean()) / (self._size or 1.0)

    def exceeds_rounding(self, losses: Tensor, rounding: Tensor | None = None) -> bool:
        """Return whether losses are larger than rounding, whose expected square is `rounding`."""
        expected = 0.0 if rounding is None else self.share(ROUNDING_FACTOR * rounding.sqrt())
        return bool(len(losses)) and not self.share(losses) <= max(self.tolerance, expected)

    def _rows_of_calls(self, examined: Sequence[AuditedPair]) -> list[LossRow]:
        rows: dict[tuple[str, str, str], LossRow] = {}
        for call in _match_calls(examined, self._pairs):
            treatment, note = remedies.treatment(call.rules), ""
            if call.hidden and self.exceeds_rounding(call.losses, call.rounding):
                treatment = "hidden" if treatment == "linear" else treatment
                note = remedies.hidden_note(next((one for one in call.hidden if one is not None), None))
            key = (call.operation, call.module, treatment)
            none = torch.zeros_like(call.losses)
            row = rows.setdefault(key, LossRow(*key, none, rounding=none))
            row.rounding = row.rounding + call.rounding
            row.losses, row.calls, row.note = row.losses + call.losses, row.calls + 1, row.note or note
        for row in rows.values():
            blame = row.note or remedies.loss_note(row.treatment, row.operation)
            row.note = blame if self.exceeds_rounding(row.losses, row.rounding) else ""
        # Linear operations outside all modules read the target from the output: they are not the model's.
        return [row for row in rows.values() if row.note or row.module or row.treatment != "linear"]

    def _rows_of_remainders(self, examined: Sequence[AuditedPair]) -> list[LossRow]:
        rows: dict[tuple[str, str], LossRow] = {}
        for i, one in enumerate(examined):
            assert one.remainder is not None
            left, none = one.remainder, torch.zeros_like(self.deltas)
            new = LossRow(left.operation, left.module, left.rules[0], none, one.note)
            rows.setdefault((left.operation, left.module), new).losses[i] += left.loss
        return [row for row in rows.values() if self.exceeds_rounding(row.losses, self.rounding)]


@dataclass
class _CallInAllPairs:
    """The same call, with its losses in all pairs."""

    operation: str
    module: str
    losses: Tensor
    rounding: Tensor
    rules: set[str] = field(default_factory=set)
    hidden: list[Origin | None] = field(default_factory=list)


def _match_calls(examined: Sequence[AuditedPair], pairs: int) -> list[_CallInAllPairs]:
    """Match the calls of all pairs by their position in the run of the model."""
    calls: dict[tuple[int, str, str], _CallInAllPairs] = {}
    for i, one in enumerate(examined):
        for k, made in enumerate(one.calls):
            key = (k, made.operation, made.module)
            none = torch.zeros(2, pairs, dtype=torch.float64, device="cpu")
            call = calls.setdefault(key, _CallInAllPairs(made.operation, made.module, none[0], none[1]))
            call.rules.update(made.rules)
            call.hidden.extend(made.hidden)
            if pairs:
                call.losses[i], call.rounding[i] = made.loss, made.rounding
    return list(calls.values())


def _rows_of_refusals(examined: Sequence[AuditedPair]) -> list[LossRow]:
    rows: dict[tuple[str, str], LossRow] = {}
    for one in examined:
        if one.refused is not None:
            key = (one.refused.operation, one.refused.module)
            how = one.refused.rules[0] if one.refused.rules else "refused"
            rows.setdefault(key, LossRow(*key, how, _numbers([]), one.note, 1))
    return list(rows.values())


def _numbers(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64, device="cpu")
