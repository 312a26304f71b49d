"""The rule for a choice between two operands, element by element: where, maximum and minimum.

The result is ``b + s * (a - b)`` for a choice s of 0 or 1. Where sequence and reference make the same choice, the
chosen operand gets the gradient. Where they do not, with ``d = a - b``, the share of a is the secant ``(s1 * d1 - s0 *
d0) / (d1 - d0)``, and b gets the rest. For maximum this is the secant of relu.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, ObserveFunction, RuleFunction
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.elementwise import smallest_step


class ChooseFunction(RuleFunction):
    """A choice, with the share of the gradient that the first operand gets, for each element."""

    @staticmethod
    def forward(ctx: Any, compute: Any, a: Tensor, b: Tensor) -> Tensor:
        """Return the output, and keep what the backward pass needs."""
        y, share = compute(a.detach(), b.detach())
        ctx.save_for_backward(share)
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        (share,) = ctx.saved_tensors
        first = grads[0] * share
        return None, first, grads[0] - first


@dataclass(frozen=True)
class Choose:
    """A call whose two operands depend on the input, both in the shape of the result.

    Parameters
    ----------
    is_first : callable
        Takes the call and both operands; returns where the first one is chosen.
    """

    is_first: Callable[[Call, Tensor, Tensor], Tensor]
    backward: ClassVar[type[torch.autograd.Function]] = ChooseFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the choice and the difference of the operands."""
        kept: list[Snapshot] = []

        def compute(a: Tensor, b: Tensor) -> Tensor:
            kept.extend((Snapshot.take(self.is_first(call, a, b), True), Snapshot.take(a - b, False)))
            return call(a, b)  # type: ignore[no-any-return]

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Divide the gradient between both operands."""
        s1, d1 = (one.get() for one in kept)

        def compute(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            y, s0, d0 = call(a, b), self.is_first(call, a, b), a - b
            return y, _share(repeat_like(s1, s0), repeat_like(d1, d0), s0, d0)

        return ChooseFunction.apply(compute, *call.tensors)


def _share(s1: Tensor, d1: Tensor, s0: Tensor, d0: Tensor) -> Tensor:
    same = s1.to(d0.dtype)
    d = d1 - d0
    found = (d1 * s1 - d0 * s0) / d
    # The difference of two infinities is not a number, and matters only where the choices differ.
    return torch.where((s1 != s0) & (d.abs() >= smallest_step(d.dtype)) & found.isfinite(), found, same)


def condition(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Return the condition of a call of ``torch.where``."""
    (mask,) = (one for one in call.leaves if isinstance(one, Tensor) and one.dtype == torch.bool)
    return mask.expand(a.shape)


def greater_or_equal(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Return ``a >= b``."""
    return a >= b


def less_or_equal(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Return ``a <= b``."""
    return a <= b
