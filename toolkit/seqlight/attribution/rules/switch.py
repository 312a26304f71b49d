"""The rule for a choice that depends on the input itself: its condition is a number, 0 or 1.

The result is ``b + s * (a - b)`` for the condition s: a sum and a product, whose Jacobian is taken half way between
reference and sequence. So a and b get the gradient by the share of both in which they are chosen, and the condition
gets the mean of their difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, ObserveFunction
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.mean_jacobian import VJPFunction
from seqlight.attribution.rules.pullbacks import Observed


@dataclass(frozen=True)
class Switch:
    """A call of ``indicators.choice``, whose tensors have the shape of the result where they depend on the input."""

    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the condition, and the difference of what it chooses from."""
        kept: list[Snapshot] = []

        def compute(*tensors: Tensor) -> Tensor:
            share, difference = _condition_and_difference(call, tensors)
            kept.extend((Snapshot.take(share, copy), Snapshot.take(difference, False)))
            return call(*tensors)  # type: ignore[no-any-return]

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Take the Jacobian half way."""
        s1, d1 = (one.get() for one in kept)
        s0, d0 = _condition_and_difference(call, tuple(one.detach() for one in call.tensors))
        shares = _gradients(call, repeat_like(s1, s0), s0, repeat_like(d1, d0), d0)

        def vjp(grads: Sequence[Tensor]) -> Any:
            return [grads[0] * one for one in shares]

        return VJPFunction.apply(call, vjp, *call.tensors)


def switch_pullback(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients at the operands as a differentiable function of those of both passes."""
    s1, d1 = _condition_and_difference(sequence.call, sequence.operands)
    s0, d0 = _condition_and_difference(reference.call, reference.operands)
    shares = _gradients(reference.call, repeat_like(s1, s0), s0, repeat_like(d1, d0), d0)
    return [grads[0] * one for one in shares]


def _condition_and_difference(call: Call, tensors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    (share, a, b), _ = call.arguments(tensors)
    difference = a - b
    # Of constants alone the difference may be a number, or smaller than the result.
    return share, difference.expand_as(share) if isinstance(difference, Tensor) else torch.full_like(share, difference)


def _gradients(call: Call, s1: Tensor, s0: Tensor, d1: Tensor, d0: Tensor) -> list[Tensor]:
    """Return by how much each operand that depends on the input changes the result."""
    share = (s1 + s0) / 2
    # What is not chosen may be infinite, or no number, and counts only where the choice changes.
    turned = (s1 != s0) & d1.isfinite() & d0.isfinite()
    step = torch.where(turned, torch.where(turned, d1, 0) / 2 + torch.where(turned, d0, 0) / 2, 0)
    of = {0: step, 1: share, 2: 1 - share}
    return [of[at] for at in call.dependent]
