"""Audit one pair of a sequence and a reference: explain it, and find out what each call of the model loses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seqlight.attribution.audit import remedies
from seqlight.attribution.audit.completeness_ledger import ReferenceAuditMode, SequenceAuditMode
from seqlight.attribution.audit.hidden_dependence import is_random, same_value
from seqlight.attribution.audit.operations import AuditedCall, AuditMode
from seqlight.attribution.calls.record import Record
from seqlight.attribution.calls.retry import Retry, Unexplained
from seqlight.attribution.engine.graph_check import require_path
from seqlight.attribution.engine.passes import reference_pass, refuse_unexplained, sequence_pass
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.explainer import Explainer
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import without_module


@dataclass(frozen=True)
class AuditedPair:
    """The result of the audit of one pair.

    Attributes
    ----------
    calls : list of AuditedCall
        The calls whose results have a gradient, in order.
    delta, difference : float
        The sum of contributions minus the output difference, and that difference; NaN if refused.
    remainder : AuditedCall, optional
        Represents what is left of the delta when all calls have been charged.
    refused : AuditedCall, optional
        The call for which the model was refused.
    note : str
        What to do about `remainder` or `refused`.
    typed : str
        The same in the words of the command line; empty where it does not differ.
    dtype : torch.dtype
        The coarsest dtype that was computed in.
    """

    calls: list[AuditedCall]
    delta: float = float("nan")
    difference: float = float("nan")
    remainder: AuditedCall | None = None
    refused: AuditedCall | None = None
    note: str = ""
    typed: str = ""
    dtype: torch.dtype = torch.float64


class PairAuditor(Explainer):
    """Explains one pair at a time, with a ledger of losses."""

    def pair(self, i: int, reference: Tensor) -> AuditedPair:
        """Audit sequence `i` against `reference`, shape (1, letters, positions)."""
        while True:
            try:
                return self._pair(i, reference)
            except Retry as reason:
                self.policy.revise(reason)

    def _pair(self, i: int, reference: Tensor) -> AuditedPair:
        inputs = self.model_inputs.rows(i, i + 1)[:1]
        baselines = [self.model_inputs.convert(reference)]
        read = self.make_forward(i, i + 1)
        modes, outputs = _PairModes(), []

        def forward(*tensors: Tensor) -> Tensor:
            outputs.append(read(*tensors))
            return outputs[-1]

        try:
            record = self._record_sequence(forward, inputs, modes)
            if self._find_new_regions(i, i + 1, 1, inputs):
                return self._pair(i, reference)
            with reference_pass(self.model, baselines, self.policy, record, modes.reference_mode) as this:
                this.output = forward(*this.inputs)
            output = this.output.detach()
            require_path(this.output, this.leaves)
            found = torch.autograd.grad(this.output.sum(), this.leaves, materialize_grads=True)
        except UnsupportedOperation as error:
            with torch.no_grad():
                # An output without a gradient may not depend on the input at all: compare it with the reference's.
                other = read(*(one.clone() for one in baselines)) if outputs and not outputs[-1].requires_grad else None
            return replace(_refused_pair(modes, outputs, other, str(error)), typed=error.typed or "")
        for what, one in (("", record.output), ("a reference of ", output)):
            if not one.isfinite().all():
                where = None if what else modes.first_not_finite()
                return _not_finite_pair(modes, remedies.not_finite_note(i, what, where))
        steps = zip(found, inputs, baselines, strict=True)
        total = sum(float((m * (x - r)).sum()) for m, x, r in steps)
        if not math.isfinite(total):
            return _not_finite_gradient_pair(modes, i)
        return _explained_pair(modes, total, float((record.output - output).sum()))

    def _record_sequence(self, forward: Callable[..., Tensor], inputs: list[Tensor], modes: _PairModes) -> Record:
        """Make the pass of the sequence, and return what the rules need of it."""
        try:
            with sequence_pass(self.model, inputs, self.policy, modes.sequence_mode) as this:
                this.output = forward(*this.inputs)
        except Unexplained:
            if self.policy.inspect:
                refuse_unexplained(self.model, forward, inputs, self.policy)
            raise
        return this.record


class _PairModes:
    """The modes of the two passes of one pair; each is created anew when its pass starts again."""

    def __init__(self) -> None:
        self.sequence: SequenceAuditMode | None = None
        self.reference: ReferenceAuditMode | None = None

    def sequence_mode(self, model: nn.Module, policy: CallPolicy, record: Record) -> SequenceAuditMode:
        self.sequence = SequenceAuditMode(model, policy, record)
        return self.sequence

    def reference_mode(self, model: nn.Module, policy: CallPolicy, record: Record) -> ReferenceAuditMode:
        assert self.sequence is not None
        self.reference = ReferenceAuditMode(model, policy, record, self.sequence)
        return self.reference

    def first_not_finite(self) -> tuple[str, str] | None:
        """Return the operation, and its module, from which on no result is finite for the sequence.

        Earlier infinities may be intended, like those of a mask.
        """
        assert self.sequence is not None
        with_results = [one for one in self.sequence.sequence_calls if one.results]
        calls = list(itertools.takewhile(lambda one: not one.is_finite, reversed(with_results)))
        return (calls[-1].operation, calls[-1].module) if calls else None


def _explained_pair(modes: _PairModes, total: float, difference: float) -> AuditedPair:
    """Return the result of a pair that was explained."""
    mode = modes.reference
    assert mode is not None
    delta, calls = total - difference, _calls_with_gradient(mode)
    remainder, note = AuditedCall("what is left", "", ["unseen"]), remedies.UNSEEN
    if mode.divergence:
        remainder, note = _control_flow(mode)
    remainder.loss = delta - sum(one.loss for one in calls)
    remainder.rounding = sum(one.rounding for one in calls)
    return AuditedPair(calls, delta, difference, remainder, note=note, dtype=mode.coarsest)


def _not_finite_pair(modes: _PairModes, note: str) -> AuditedPair:
    """Return the result of a pair with an output that is not finite."""
    assert modes.reference is not None
    refused = AuditedCall("the output", "", [remedies.NOT_FINITE])
    return AuditedPair(_calls_with_gradient(modes.reference), refused=refused, note=note)


def _not_finite_gradient_pair(modes: _PairModes, row: int) -> AuditedPair:
    """Return the result of a pair whose gradient is not finite: the call to blame is the first in the backward pass."""
    assert modes.reference is not None
    calls = _calls_with_gradient(modes.reference)
    lost = [one for one in calls if not math.isfinite(one.loss)] or [AuditedCall("what is left", "")]
    where = AuditedCall(lost[-1].operation, lost[-1].module, [remedies.NOT_FINITE])
    others = [one for one in calls if (one.operation, one.module) != (where.operation, where.module)]
    return AuditedPair(others, refused=where, note=remedies.no_finite_gradient_note(row))


def _refused_pair(modes: _PairModes, outputs: list[Tensor], other: Tensor | None, message: str) -> AuditedPair:
    """Return the result of a pair whose model was refused; `other` is the output of the reference, if there is one."""
    mode: AuditMode | None = modes.reference or modes.sequence
    assert mode is not None
    calls = _calls_with_gradient(mode)
    where, note = mode.refused or _call_named_in(message, calls), message
    if isinstance(mode, ReferenceAuditMode) and mode.divergence:
        where, note = _control_flow(mode)
    elif outputs and not outputs[-1].requires_grad:
        where, origin = AuditedCall("the output", ""), mode.hidden.origin(outputs[-1])
        constant = origin is None and same_value(outputs[-1], other)
        note = remedies.CONSTANT_OUTPUT if constant else f"{message} {remedies.hidden_note(origin)}"
    elif is_random(where.operation):
        note = remedies.random_note()
    if where.module:
        # The table has a column for the module.
        note = without_module(note)
    where.rules = ["refused"]
    # A call that was tried before it was refused, or refused in the backward pass, is not listed twice.
    others = [one for one in calls if (one.operation, one.module) != (where.operation, where.module)]
    return AuditedPair(others, refused=where, note=note)


def _control_flow(mode: ReferenceAuditMode) -> tuple[AuditedCall, str]:
    """Return an entry for the control flow of a model that depends on its input, and what to do about it."""
    origin = mode.differing_number()
    where = AuditedCall("the course of the model", origin.module if origin else "", ["course"])
    return where, remedies.control_flow_note(mode.divergence, origin)


def _call_named_in(message: str, calls: list[AuditedCall]) -> AuditedCall:
    """Return the call whose name a message begins with."""
    name = message.split(maxsplit=1)[0]
    if name == "the":
        return AuditedCall("the output", "")
    modules = [one.module for one in calls if one.operation.lower() == name.lower()]
    return AuditedCall(name, modules[-1] if modules else "")


def _calls_with_gradient(mode: AuditMode) -> list[AuditedCall]:
    return [one for one in mode.calls if one.has_gradient]
