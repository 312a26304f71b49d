"""Explain one pair of a sequence and a reference, and see what each call of the model loses on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqlight.attribution.audit import remedies
from seqlight.attribution.audit.accounting import ExplainAndAccount, ObserveAndNote
from seqlight.attribution.audit.meetings import Meet, Meeting
from seqlight.attribution.engine import passes
from seqlight.attribution.engine.watching import Manner, Record
from seqlight.attribution.explaining import Explaining
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.borrow import floating_dtype


@dataclass(frozen=True)
class Examined:
    """What one pair gave.

    Attributes
    ----------
    meetings : list of Meeting
        The calls that carry a gradient, in order.
    delta, difference : float
        The sum of contributions less the difference of outputs, and that difference; no numbers if refused.
    rest : Meeting, optional
        What is left of the delta when all calls have been charged, if something is to be said of it.
    refused : Meeting, optional
        Where the model was refused.
    note : str
        What to say of `rest` or `refused`.
    """

    meetings: list[Meeting]
    delta: float = float("nan")
    difference: float = float("nan")
    rest: Meeting | None = None
    refused: Meeting | None = None
    note: str = ""


class Examining(Explaining):
    """An explanation that keeps books, one pair at a time."""

    def pair(self, i: int, reference: Tensor) -> Examined:
        """Examine sequence `i` against `reference`, shape (1, letters, positions)."""
        dtype = floating_dtype(self.model, self.inputs[0])
        inputs = [self._sent(self.inputs[0][i : i + 1].detach().clone(), dtype)]
        baselines = [self._sent(reference, dtype)]
        read = self._forward(self._args_of(i, i + 1, dtype), torch.tensor([i]), 1)
        watches, outputs = _Watches(), []

        def forward(*tensors: Tensor) -> Tensor:
            outputs.append(read(*tensors))
            return outputs[-1]

        try:
            record = passes.observe(self.model, forward, inputs, self.manner, watches.first)
            leaves, output = passes.explain(self.model, forward, baselines, self.manner, record, watches.second)
            found = torch.autograd.grad(output.sum(), leaves, materialize_grads=True)
        except UnsupportedOperation as error:
            return _refused(watches, outputs, str(error))
        steps = zip(found, inputs, baselines, strict=True)
        total = sum(float((m * (x - r)).sum()) for m, x, r in steps)
        return _accounted(watches, total, float((record.output - output.detach()).sum()))


class _Watches:
    """The watches of one pair; the first pass may have to start again."""

    def __init__(self) -> None:
        self.observed: ObserveAndNote | None = None
        self.explained: ExplainAndAccount | None = None

    def first(self, model: nn.Module, manner: Manner, record: Record) -> ObserveAndNote:
        self.observed = ObserveAndNote(model, manner, record)
        return self.observed

    def second(self, model: nn.Module, manner: Manner, record: Record) -> ExplainAndAccount:
        assert self.observed is not None
        self.explained = ExplainAndAccount(model, manner, record, self.observed)
        return self.explained


def _accounted(watches: _Watches, total: float, difference: float) -> Examined:
    """Return what a pair gave that was explained."""
    watch = watches.explained
    assert watch is not None
    delta, meetings = total - difference, _carrying(watch)
    left, note = _course(watch) if watch.strayed else (Meeting("what is left", "", ["unseen"]), remedies.UNSEEN)
    left.loss = delta - sum(one.loss for one in meetings)
    return Examined(meetings, delta, difference, left, note=note)


def _refused(watches: _Watches, outputs: list[Tensor], message: str) -> Examined:
    """Return what a pair gave until its model was refused."""
    watch: Meet | None = watches.explained or watches.observed
    assert watch is not None
    meetings = _carrying(watch)
    where, note = watch.refused or _named(message, meetings), message
    if isinstance(watch, ExplainAndAccount) and watch.strayed:
        where, note = _course(watch)
    elif outputs and not outputs[-1].requires_grad:
        where = Meeting("the output", "")
        note = f"{message} {remedies.of_hidden(watch.hidden.origin(outputs[-1]))}"
    where.manners = ["refused"]
    # What was only tried before it was refused, or was refused on the way back, is not listed twice.
    others = [one for one in meetings if (one.operation, one.module) != (where.operation, where.module)]
    return Examined(others, refused=where, note=note)


def _course(watch: ExplainAndAccount) -> tuple[Meeting, str]:
    """Return where a reference leaves the course of its sequence, and what to say of it."""
    origin = watch.differing_number()
    where = Meeting("the course of the model", origin.module if origin else "", ["course"])
    return where, remedies.of_course(watch.strayed, origin)


def _named(message: str, meetings: list[Meeting]) -> Meeting:
    """Return the call that a message begins with."""
    name = message.split(maxsplit=1)[0]
    modules = [one.module for one in meetings if one.operation.lower() == name.lower()]
    return Meeting(name, modules[-1] if modules else "")


def _carrying(watch: Meet) -> list[Meeting]:
    return [one for one in watch.meetings if one.carries]
