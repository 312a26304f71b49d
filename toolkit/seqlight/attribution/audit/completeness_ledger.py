"""A ledger of losses: how much completeness each call of a model loses, for one sequence and one reference.

The contributions of all inputs miss the output difference by the sum of what single calls lose. A call loses the
gradient that it sends to its operands times their differences, minus the gradient at its result times the difference of
the result. A call that is linear in the operands with a gradient, and has no other operand that depends on the input,
loses nothing, so it does not matter that some of those calls are never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from seqlight.attribution.audit.hidden_dependence import Origin, same_value
from seqlight.attribution.audit.operations import AuditedCall, AuditMode, PrimitiveCall
from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine.modes import ReferenceMode, SequenceMode
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.prediction.device_dtypes import widest_dtype


@dataclass(frozen=True)
class SequenceCall:
    """The operands and results of a call in the pass of the sequence.

    Attributes
    ----------
    operation, module : str
    operands, results : list of torch.Tensor
        Operands and results with a gradient.
    without_gradient : list
        Operands without one.
    """

    operation: str
    operands: list[Tensor]
    results: list[Tensor]
    without_gradient: list[Any]
    module: str = ""

    @property
    def is_finite(self) -> bool:
        """Whether all results are finite."""
        return all(bool(one.isfinite().all()) for one in self.results)

    def matches(self, operation: str, primitive: PrimitiveCall) -> bool:
        """Return whether a call is of the same operation, with operands of the same shapes."""
        shapes = [one.shape for one in _operands(primitive)]
        counts_match = len(self.without_gradient) == len(primitive.without_gradient)
        return self.operation == operation and [one.shape for one in self.operands] == shapes and counts_match


class SequenceAuditMode(AuditMode, SequenceMode):
    """The pass of the sequence: the operands and results of each call are kept.

    Attributes
    ----------
    sequence_calls : list of SequenceCall
        In order.
    """

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record) -> None:
        super().__init__(model, policy, record)
        self.sequence_calls: list[SequenceCall] = []

    def enter(self, call: AuditedCall, primitive: PrimitiveCall) -> Any:
        """Keep copies of the operands and results."""
        operands = [_copy(one) for one in _operands(primitive)]
        without_gradient = [_copy(one) if self.hidden.origin(one) else one for one in primitive.without_gradient]
        y = primitive.run(primitive.leaves)
        results = [_copy(one) for one in _results(y, primitive, self.written_tensor(primitive.target))]
        self.sequence_calls.append(SequenceCall(call.operation, operands, results, without_gradient, call.module))
        call.has_gradient |= bool(results)
        return y

    def retract(self) -> None:
        """Forget the last call: a rule makes it again."""
        super().retract()
        self.sequence_calls.pop()


class ReferenceAuditMode(AuditMode, ReferenceMode):
    """The pass of the reference: each call is charged with what it loses in the backward pass.

    Parameters
    ----------
    first : SequenceAuditMode
        The pass of the sequence.
    """

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record, first: SequenceAuditMode) -> None:
        super().__init__(model, policy, record)
        self.first = first
        self._position = 0
        self._divergence = ""
        # To restore when the last call is retracted: a trial is compared with a call that is not its own.
        self._before_trial: tuple[str, int] = ("", 0)

    @property
    def divergence(self) -> str:
        """A description of the first difference from the calls of the sequence; empty if there is none."""
        left = self.first.sequence_calls[self._position :]
        return self._divergence or (f"ends where the sequence calls {left[0].operation}" if left else "")

    def enter(self, call: AuditedCall, primitive: PrimitiveCall) -> Any:
        """Charge the call with the gradients at its operands and results, in the backward pass."""
        self._before_trial = self._divergence, len(call.hidden)
        partner = self._partner(call.operation, primitive)
        if partner is None:
            return primitive.run(primitive.leaves)
        # Compared before the call, which may write to them.
        differing = [
            b for a, b in zip(partner.without_gradient, primitive.without_gradient, strict=True) if not same_value(a, b)
        ]
        origins = [self.hidden.origin(one) or self.differing_number() for one in differing]
        if primitive.base is not None and not torch.is_grad_enabled():
            origins.append(Origin(call.operation, call.module, False))
        leaves = list(primitive.leaves)
        differences = [_difference(a, b) for a, b in zip(partner.operands, _operands(primitive), strict=True)]
        if torch.is_grad_enabled():
            for i, difference in zip(primitive.with_gradient, differences, strict=False):
                # The gradient at an alias is what this call sends, and nothing else.
                leaves[i] = primitive.leaves[i][...]
                _charge_gradient(leaves[i], call, difference, 1)
        if primitive.base is not None:
            with torch.enable_grad():
                # A tensor that is written to cannot be an alias; the gradient at its old value arrives here.
                _charge_gradient(primitive.base.mul_(1), call, differences[-1], 1)
        y = primitive.run(leaves)
        results = _results(y, primitive, self.written_tensor(primitive.target))
        _restore_arguments(y, primitive.leaves, leaves)
        if [one.shape for one in results] != [one.shape for one in partner.results]:
            self._divergence = f"gets other results from {call.operation} than the sequence"
            return y
        for was, one in zip(partner.results, results, strict=True):
            _charge_gradient(one, call, _difference(was, one), -1)
        call.has_gradient |= bool(results)
        call.hidden.extend(origins if results else ())
        return y

    def differing_number(self) -> Origin | None:
        """Return the origin of the last Python number that differs from that of the sequence, or None."""
        pairs = list(zip(self.first.hidden.numbers, self.hidden.numbers, strict=False))
        return next((now[0] for was, now in reversed(pairs) if not same_value(was[1], now[1])), None)

    def retract(self) -> None:
        """Forget the last call: a rule makes it again."""
        super().retract()
        if not self._before_trial[0]:
            self._position -= 1
        self._divergence = self._before_trial[0]
        if self._call is not None:
            del self._call.hidden[self._before_trial[1] :]

    def _partner(self, operation: str, primitive: PrimitiveCall) -> SequenceCall | None:
        """Return the same call of the sequence; None from where the reference makes other calls."""
        if self._divergence:
            return None
        partner = self.first.sequence_calls[self._position] if self._position < len(self.first.sequence_calls) else None
        self._position += 1
        if partner is not None and partner.matches(operation, primitive):
            return partner
        other = f"calls {partner.operation}" if partner else "ends"
        self._divergence = f"calls {operation} where the sequence {other}"
        return None


def _operands(primitive: PrimitiveCall) -> list[Tensor]:
    """Return the operands with a gradient; last the tensor that the call writes to."""
    return [primitive.leaves[i] for i in primitive.with_gradient] + ([] if primitive.base is None else [primitive.base])


def _results(y: Any, primitive: PrimitiveCall, base: Tensor | None) -> list[Tensor]:
    """Return the results with a gradient, each once; the whole tensor if the call wrote to a part of it."""
    flat = [base] if primitive.target is not None and base is not None else tree_flatten(y)[0]
    found = {id(one): one for one in flat if isinstance(one, Tensor) and one.requires_grad}
    return list(found.values())


def _copy(one: Any) -> Any:
    return one.detach().clone() if isinstance(one, Tensor) else one


def _difference(was: Tensor, now: Tensor) -> Tensor:
    """Return the difference between sequence and reference; that of equal infinities is 0."""
    now = now.detach()
    return (was - now).masked_fill_(was == now, 0)


def _charge_gradient(tensor: Tensor, call: AuditedCall, difference: Tensor, sign: int) -> None:
    """Charge a call with the gradient at `tensor` times its difference, in the backward pass."""
    # The rounding error of the numbers themselves; times the gradient it is an error of the loss.
    now = tensor.detach()
    error = torch.maximum(now.abs(), (now + difference).abs()).nan_to_num(0, 0, 0) * torch.finfo(tensor.dtype).eps

    def charge(gradient: Tensor | None) -> None:
        if gradient is not None:
            # Where the gradient is 0, a difference may be infinite.
            charges = (gradient.conj() * difference).masked_fill_(gradient == 0, 0)
            rounding = (gradient.abs().nan_to_num(0, 0, 0) * error).to(widest_dtype(gradient.device))
            call.rounding += float(rounding.square().sum())
            call.loss += sign * float(charges.real.sum() if charges.is_complex() else charges.sum())

    tensor.register_hook(charge)  # type: ignore[no-untyped-call]


def _restore_arguments(y: Any, originals: list[Any], aliases: list[Any]) -> None:
    """Replace our aliases by the original arguments, in results that keep references to arguments."""
    by_alias = {id(alias): one for one, alias in zip(originals, aliases, strict=True) if one is not alias}
    for one in tree_flatten(y)[0]:
        for key, value in (vars(one) if isinstance(one, Tensor) else {}).items():
            if id(value) in by_alias:
                setattr(one, key, by_alias[id(value)])
