"""How much completeness each call of a model loses: the books of one sequence and one reference.

The contributions of all inputs miss the output difference by the sum of what single calls miss: the gradient
that a call sends to its operands, times their differences, less the gradient at its result times the result's
difference. A call that is linear in what has a gradient, and takes nothing else that depends on the input,
misses nothing; so it does no harm that some of those are never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from seqlight.attribution.audit.hidden_dependence import Origin, same
from seqlight.attribution.audit.operations import Meet, Meeting, Part
from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine.modes import ReferenceMode, SequenceMode
from seqlight.attribution.engine.policy import CallPolicy


@dataclass(frozen=True)
class Leg:
    """What a call took and gave when the sequence went through.

    Attributes
    ----------
    operation, module : str
    before, after : list of torch.Tensor
        What it took and gave with a gradient.
    rest : list
        What it took without one.
    """

    operation: str
    before: list[Tensor]
    after: list[Tensor]
    rest: list[Any]
    module: str = ""

    @property
    def finite(self) -> bool:
        """Whether all that it gave are finite numbers."""
        return all(bool(one.isfinite().all()) for one in self.after)


class ObserveAndNote(Meet, SequenceMode):
    """The first pass: each call leaves what it took and gave."""

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record) -> None:
        super().__init__(model, policy, record)
        self.legs: list[Leg] = []

    def booked(self, meeting: Meeting, part: Part) -> Any:
        """Keep copies of what the call takes and gives."""
        before = [_copy(one) for one in _taken(part)]
        rest = [_copy(one) if self.hidden.origin(one) else one for one in part.rest]
        y = part.run(part.leaves)
        after = [_copy(one) for one in _given(y, part, self.written(part.target))]
        self.legs.append(Leg(meeting.operation, before, after, rest, meeting.module))
        meeting.carries |= bool(after)
        return y

    def retract(self) -> None:
        """Forget the last call: a rule will make it again."""
        super().retract()
        self.legs.pop()


class ExplainAndAccount(Meet, ReferenceMode):
    """The second pass: each call is charged with what it loses on the way back.

    Parameters
    ----------
    first : ObserveAndNote
        The first pass.
    """

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record, first: ObserveAndNote) -> None:
        super().__init__(model, policy, record)
        self.first = first
        self._at = 0
        self._strayed = ""
        # What retracting the last call brings back: the trial is compared with a leg that is not its own.
        self._untried: tuple[str, int] = ("", 0)

    @property
    def strayed(self) -> str:
        """Where the reference makes another call than the sequence; empty if it made the same."""
        left = self.first.legs[self._at :]
        return self._strayed or (f"the end where the sequence meets {left[0].operation}" if left else "")

    def booked(self, meeting: Meeting, part: Part) -> Any:
        """Have an eye on the gradients that come by what the call takes and gives."""
        self._untried = self._strayed, len(meeting.hidden)
        leg = self._leg(meeting.operation, part)
        if leg is None:
            return part.run(part.leaves)
        # Before the call, which may write to them.
        strangers = [b for a, b in zip(leg.rest, part.rest, strict=True) if not same(a, b)]
        origins = [self.hidden.origin(one) or self.differing_number() for one in strangers]
        if part.base is not None and not torch.is_grad_enabled():
            origins.append(Origin(meeting.operation, meeting.module, False))
        leaves, steps = list(part.leaves), [_step(a, b) for a, b in zip(leg.before, _taken(part), strict=True)]
        if torch.is_grad_enabled():
            for i, step in zip(part.live, steps, strict=False):
                # Of an alias, the gradient is what this call sends and no other.
                leaves[i] = part.leaves[i][...]
                _on_the_way_back(leaves[i], meeting, step, 1)
        if part.base is not None:
            with torch.enable_grad():
                # What is written to cannot be an alias: this is where the gradient of its old value comes by.
                _on_the_way_back(part.base.mul_(1), meeting, steps[-1], 1)
        y = part.run(leaves)
        given = _given(y, part, self.written(part.target))
        _put_back(y, part.leaves, leaves)
        if [one.shape for one in given] != [one.shape for one in leg.after]:
            self._strayed = f"another result of {meeting.operation} than the sequence"
            return y
        for was, one in zip(leg.after, given, strict=True):
            _on_the_way_back(one, meeting, _step(was, one), -1)
        meeting.carries |= bool(given)
        meeting.hidden.extend(origins if given else ())
        return y

    def differing_number(self) -> Origin | None:
        """Return what made the last number that is another one for the sequence, if there is one."""
        pairs = list(zip(self.first.hidden.numbers, self.hidden.numbers, strict=False))
        return next((now[0] for was, now in reversed(pairs) if not same(was[1], now[1])), None)

    def retract(self) -> None:
        """Forget the last call: a rule will make it again."""
        super().retract()
        if not self._untried[0]:
            self._at -= 1
        self._strayed = self._untried[0]
        if self._meeting is not None:
            del self._meeting.hidden[self._untried[1] :]

    def _leg(self, operation: str, part: Part) -> Leg | None:
        """Return what the same call left of the sequence; None from where the courses part."""
        if self._strayed:
            return None
        leg = self.first.legs[self._at] if self._at < len(self.first.legs) else None
        self._at += 1
        taken, rest = [one.shape for one in _taken(part)], len(part.rest)
        if leg and (leg.operation, [one.shape for one in leg.before], len(leg.rest)) == (operation, taken, rest):
            return leg
        self._strayed = f"{operation} where the sequence meets {leg.operation if leg else 'the end'}"
        return None


def _taken(part: Part) -> list[Tensor]:
    """Return what a call takes that has a gradient; last what it writes to."""
    return [part.leaves[i] for i in part.live] + ([] if part.base is None else [part.base])


def _given(y: Any, part: Part, base: Tensor | None) -> list[Tensor]:
    """Return what a call gave that has a gradient, each once; of what it wrote to, all of it."""
    flat = [base] if part.target is not None and base is not None else tree_flatten(y)[0]
    found = {id(one): one for one in flat if isinstance(one, Tensor) and one.requires_grad}
    return list(found.values())


def _copy(one: Any) -> Any:
    return one.detach().clone() if isinstance(one, Tensor) else one


def _step(was: Tensor, now: Tensor) -> Tensor:
    """Return the difference between sequence and reference, of which equal infinities have none."""
    now = now.detach()
    return (was - now).masked_fill_(was == now, 0)


def _on_the_way_back(tensor: Tensor, meeting: Meeting, step: Tensor, sign: int) -> None:
    """Charge a call with the gradient that comes by `tensor`, times its `step`."""
    # Which error the numbers themselves have; a product with the gradient says what that comes to.
    now = tensor.detach()
    error = torch.maximum(now.abs(), (now + step).abs()).nan_to_num(0, 0, 0) * torch.finfo(tensor.dtype).eps

    def charge(gradient: Tensor | None) -> None:
        if gradient is not None:
            # Where nothing comes by, a step may be infinite.
            charges = (gradient.conj() * step).masked_fill_(gradient == 0, 0)
            meeting.rounding += float((gradient.abs().nan_to_num(0, 0, 0) * error).double().square().sum())
            meeting.loss += sign * float(charges.real.sum() if charges.is_complex() else charges.sum())

    tensor.register_hook(charge)  # type: ignore[no-untyped-call]


def _put_back(y: Any, originals: list[Any], aliases: list[Any]) -> None:
    """Let results that remember what went in remember that, and not our alias of it."""
    by_alias = {id(alias): one for one, alias in zip(originals, aliases, strict=True) if one is not alias}
    for one in tree_flatten(y)[0]:
        for key, value in (vars(one) if isinstance(one, Tensor) else {}).items():
            if id(value) in by_alias:
                setattr(one, key, by_alias[id(value)])
