"""The rule for atan2, the angle of two operands, in closed form.

With z = x + iy, the derivatives of atan2(y, x) are the real and the imaginary part of 1 / z, whose mean on a line is
log(z1 / z0) / (z1 - z0). The imaginary part of that logarithm is the angle that the line covers, seen from the origin.
Where the line crosses the branch cut, at which atan2 jumps by a whole turn, or ends at the origin, the difference of
the results takes its place, as the secant does for any other function that jumps.
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


@dataclass(frozen=True)
class Atan2:
    """A call ``atan2(y, x)``, with both operands in the shape of the result."""

    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep both operands."""
        return ObserveFunction.apply(call, *call.tensors), [Snapshot.take(one, copy) for one in call.tensors]

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the means of both derivatives, in the backward pass."""
        recorded, references = [one.get() for one in kept], [Snapshot.take(one, copy) for one in call.tensors]
        # Keywords may come in any order.
        swapped = next(iter(call.arguments()[1]), "input") == "other" and not call.arguments()[0]

        def vjp(grads: Sequence[Tensor]) -> list[Tensor]:
            x0 = [one.get() for one in references]
            x1 = [repeat_like(a, b) for a, b in zip(recorded, x0, strict=True)]
            if swapped:
                return [grads[0] * one for one in reversed(mean_slopes(x1[::-1], x0[::-1]))]
            return [grads[0] * one for one in mean_slopes(x1, x0)]

        return VJPFunction.apply(call, vjp, *call.tensors)


def mean_slopes(sequence: Sequence[Tensor], reference: Sequence[Tensor]) -> list[Tensor]:
    """Return the means of the derivatives of atan2(y, x) by y and by x, on the line between two points.

    Parameters
    ----------
    sequence, reference : sequence of torch.Tensor
        The operands y and x.
    """
    (y1, x1), (y0, x0) = sequence, reference
    difference = torch.atan2(y1, x1) - torch.atan2(y0, x0)
    # Scaled, so that squares neither underflow nor overflow.
    size = torch.stack([one.abs() for one in (y1, x1, y0, x0)]).amax(0)
    size = torch.where(size > 0, size, 1)
    y1, x1, y0, x0 = (one / size for one in (y1, x1, y0, x0))
    dy, dx = y1 - y0, x1 - x0
    step, square, square0 = dy * dy + dx * dx, y1 * y1 + x1 * x1, y0 * y0 + x0 * x0
    # For points close to each other, the difference has more digits.
    across = torch.where(step < 0.25 * square, x0 * dy - y0 * dx, x0 * y1 - y0 * x1)
    turn = torch.atan2(across, x0 * x1 + y0 * y1)
    turn = turn + 2 * torch.pi * ((difference - turn) / (2 * torch.pi)).round()
    growth = 0.5 * torch.log1p((dy * (y1 + y0) + dx * (x1 + x0)) / square0)
    still, at_origin = step == 0, square == 0
    turn = torch.where(at_origin | (square0 == 0), difference, turn)
    growth = growth.nan_to_num(0, 0, 0)  # to or from the origin, only the turn counts
    step, square = torch.where(still, 1, step) * size, torch.where(at_origin, 1, square) * size
    by_y = torch.where(still, x1 / square, (growth * dx + turn * dy) / step)
    by_x = torch.where(still, -y1 / square, (turn * dx - growth * dy) / step)
    # As elsewhere, an infinite slope counts as none.
    return [by_y.nan_to_num(0, 0, 0), by_x.nan_to_num(0, 0, 0)]
