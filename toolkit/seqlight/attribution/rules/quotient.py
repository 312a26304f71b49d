"""The rule for quotients of two operands.

A quotient y times its divisor b is the dividend a, so the rule for products, solved for y, says how y differs::

    y1 - y0 = ((a1 - a0) - (y1 + y0) / 2 * (b1 - b0)) / ((b1 + b0) / 2)

This divides by the mean of the divisors. A product with the reciprocal would take the mean of reciprocals, which is
huge where one divisor is next to nothing, as the norm of a vector of zeros is: contributions would be huge, too, and
cancel. Where the divisor changes its sign, its mean says nothing, and the reciprocals are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, ObserveFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.mean_jacobian import VJPFunction
from seqlight.errors import UnsupportedOperation


@as_operation
def quotient(dividend: Tensor, divisor: Tensor) -> Tensor:
    """Return a quotient as one operation."""
    return torch.div(dividend, divisor)


@dataclass(frozen=True)
class Quotient:
    """A call of :func:`quotient`, with both operands in the shape of the result."""

    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep both operands."""
        if any(one.is_complex() for one in call.tensors):
            raise UnsupportedOperation(f"{call.name} of complex tensors has no rule: write it in .real and .imag.")
        return ObserveFunction.apply(call, *call.tensors), [Snapshot.take(one, copy) for one in call.tensors]

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the slopes, in the backward pass."""
        recorded, references = [one.get() for one in kept], [Snapshot.take(one, copy) for one in call.tensors]

        def vjp(grads: Sequence[Tensor]) -> list[Tensor]:
            x0 = [one.get() for one in references]
            x1 = [repeat_like(a, b) for a, b in zip(recorded, x0, strict=True)]
            return [grads[0] * one for one in slopes(x1, x0)]

        return VJPFunction.apply(call, vjp, *call.tensors)


def slopes(sequence: Sequence[Tensor], reference: Sequence[Tensor]) -> list[Tensor]:
    """Return the shares of the difference of a quotient in those of its operands.

    Parameters
    ----------
    sequence, reference : sequence of torch.Tensor
        Dividend and divisor.
    """
    (a1, b1), (a0, b0) = sequence, reference
    # Sums of halves, and one division after the other: sums and products may be too large for float16.
    mean = torch.add(b1 / 2, b0, alpha=0.5)
    by_divisor = torch.add((a1 / b1).div_(-2), a0 / b0, alpha=-0.5).div_(mean)
    by_dividend = mean.reciprocal_()
    turned = (b1 > 0) ^ (b0 > 0)
    # On a CPU it is quick to see that there are none; a device would have to be waited for.
    if not turned.is_cpu or turned.any():
        by_dividend = torch.where(turned, 1 / b1 / 2 + 1 / b0 / 2, by_dividend)
        by_divisor = torch.where(turned, -(a1 / 2 + a0 / 2) / b0 / b1, by_divisor)
    # As elsewhere, an infinite slope counts as none.
    return [one.nan_to_num_(0, 0, 0) for one in (by_dividend, by_divisor)]
