"""Explain one pair of a sequence and a reference, and see what each call of the model loses on the way."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqlight.attribution.audit import remedies
from seqlight.attribution.audit.hidden_dependence import is_random, same
from seqlight.attribution.audit.loss_ledger import ExplainAndAccount, ObserveAndNote
from seqlight.attribution.audit.operations import Meet, Meeting
from seqlight.attribution.calls.record import Record
from seqlight.attribution.calls.retry import Retry, Unexplained
from seqlight.attribution.engine.passes import reference_pass, refuse_unexplained, sequence_pass
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.explainer import Explainer
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.inputs import convert


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
    dtype : torch.dtype
        The coarsest that was computed in.
    """

    meetings: list[Meeting]
    delta: float = float("nan")
    difference: float = float("nan")
    rest: Meeting | None = None
    refused: Meeting | None = None
    note: str = ""
    dtype: torch.dtype = torch.float64


class Examining(Explainer):
    """An explanation that keeps books, one pair at a time."""

    def pair(self, i: int, reference: Tensor) -> Examined:
        """Examine sequence `i` against `reference`, shape (1, letters, positions)."""
        while True:
            try:
                return self._pair(i, reference)
            except Retry as reason:
                self.policy.revise(reason)

    def _pair(self, i: int, reference: Tensor) -> Examined:
        row = torch.tensor([i], device="cpu")
        inputs, baselines = self._inputs_of(row)[:1], [convert(reference, self._dtype(), self.device)]
        read = self._forward(row)
        watches, outputs = _Watches(), []

        def forward(*tensors: Tensor) -> Tensor:
            outputs.append(read(*tensors))
            return outputs[-1]

        try:
            record = self._recorded(forward, inputs, watches)
            if self._has_found_regions(row, 1, inputs):
                return self._pair(i, reference)
            with reference_pass(self.model, baselines, self.policy, record, watches.second) as this:
                this.output = forward(*this.inputs)
            output = this.output.detach()
            found = torch.autograd.grad(this.output.sum(), this.leaves, materialize_grads=True)
        except UnsupportedOperation as error:
            with torch.no_grad():
                # Of what depends on nothing, whether that is all there is to say.
                other = read(*(one.clone() for one in baselines)) if outputs and not outputs[-1].requires_grad else None
            return _refused(watches, outputs, other, str(error))
        for what, one in (("", record.output), ("a reference of ", output)):
            if not one.isfinite().all():
                return _not_finite(watches, remedies.not_finite(i, what, None if what else watches.broken()))
        steps = zip(found, inputs, baselines, strict=True)
        total = sum(float((m * (x - r)).sum()) for m, x, r in steps)
        if not math.isfinite(total):
            return _no_gradient(watches, i)
        return _accounted(watches, total, float((record.output - output).sum()))

    def _recorded(self, forward: Callable[..., Tensor], inputs: list[Tensor], watches: _Watches) -> Record:
        try:
            with sequence_pass(self.model, inputs, self.policy, watches.first) as this:
                this.output = forward(*this.inputs)
        except Unexplained:
            if self.policy.inspect:
                refuse_unexplained(self.model, forward, inputs, self.policy)
            raise
        return this.record


class _Watches:
    """The watches of one pair; the first pass may have to start again."""

    def __init__(self) -> None:
        self.observed: ObserveAndNote | None = None
        self.explained: ExplainAndAccount | None = None

    def first(self, model: nn.Module, policy: CallPolicy, record: Record) -> ObserveAndNote:
        self.observed = ObserveAndNote(model, policy, record)
        return self.observed

    def second(self, model: nn.Module, policy: CallPolicy, record: Record) -> ExplainAndAccount:
        assert self.observed is not None
        self.explained = ExplainAndAccount(model, policy, record, self.observed)
        return self.explained

    def broken(self) -> tuple[str, str] | None:
        """Return the operation, and its module, from which on nothing is finite for the sequence.

        Infinities before that may be meant, as those of a mask are.
        """
        assert self.observed is not None
        given = [leg for leg in self.observed.legs if leg.after]
        legs = list(itertools.takewhile(lambda leg: not leg.finite, reversed(given)))
        return (legs[-1].operation, legs[-1].module) if legs else None


def _accounted(watches: _Watches, total: float, difference: float) -> Examined:
    """Return what a pair gave that was explained."""
    watch = watches.explained
    assert watch is not None
    delta, meetings = total - difference, _carrying(watch)
    left, note = _course(watch) if watch.strayed else (Meeting("what is left", "", ["unseen"]), remedies.UNSEEN)
    left.loss = delta - sum(one.loss for one in meetings)
    left.rounding = sum(one.rounding for one in meetings)
    return Examined(meetings, delta, difference, left, note=note, dtype=watch.coarsest)


def _not_finite(watches: _Watches, note: str) -> Examined:
    """Return what a pair gave whose output is no number."""
    assert watches.explained is not None
    return Examined(_carrying(watches.explained), refused=Meeting("the output", "", [remedies.NOT_FINITE]), note=note)


def _no_gradient(watches: _Watches, row: int) -> Examined:
    """Return what a pair gave on whose way back there are no numbers: where the last ones are."""
    assert watches.explained is not None
    meetings = _carrying(watches.explained)
    lost = [one for one in meetings if not math.isfinite(one.loss)] or [Meeting("what is left", "")]
    where = Meeting(lost[-1].operation, lost[-1].module, [remedies.NOT_FINITE])
    others = [one for one in meetings if (one.operation, one.module) != (where.operation, where.module)]
    return Examined(others, refused=where, note=remedies.no_finite_gradient(row))


def _refused(watches: _Watches, outputs: list[Tensor], other: Tensor | None, message: str) -> Examined:
    """Return what a pair gave until its model was refused, `other` being the output of the reference."""
    watch: Meet | None = watches.explained or watches.observed
    assert watch is not None
    meetings = _carrying(watch)
    where, note = watch.refused or _named(message, meetings), message
    if isinstance(watch, ExplainAndAccount) and watch.strayed:
        where, note = _course(watch)
    elif outputs and not outputs[-1].requires_grad:
        where, origin = Meeting("the output", ""), watch.hidden.origin(outputs[-1])
        constant = origin is None and same(outputs[-1], other)
        note = remedies.CONSTANT if constant else f"{message} {remedies.of_hidden(origin)}"
    elif is_random(where.operation):
        note = remedies.of_draw()
    if where.module:
        # The row has it in a column.
        note = re.sub(r" in module '[^']*' \(\w+\)", "", note)
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
    if name == "the":
        return Meeting("the output", "")
    modules = [one.module for one in meetings if one.operation.lower() == name.lower()]
    return Meeting(name, modules[-1] if modules else "")


def _carrying(watch: Meet) -> list[Meeting]:
    return [one for one in watch.meetings if one.carries]
