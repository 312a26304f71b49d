"""The rules for comparisons, through which no gradient goes, and for what a model makes of their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, ObserveFunction
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.calls.retry import ComparisonChanged, Discontinuous
from seqlight.attribution.rules.constants import Constant
from seqlight.attribution.rules.mean_jacobian import VJPFunction
from seqlight.attribution.rules.piecewise import piecewise_vjp
from seqlight.attribution.rules.simplex_projections import Projection, projection_vjp

NAMES = (
    *("gt lt ge le eq ne greater less greater_equal less_equal not_equal".split()),
    *("__gt__ __lt__ __ge__ __le__ __eq__ __ne__".split()),
)


@dataclass(frozen=True)
class Compare(Constant):
    """A comparison whose result is used for more than to mask what was compared."""

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Return the result; raise ComparisonChanged if it is not that of the sequence."""
        y: Tensor = call(*(one.detach() for one in call.tensors))
        if bool((repeat_like(kept[0].get(), y) != y).any()):
            raise ComparisonChanged
        return y


@dataclass(frozen=True)
class Piecewise:
    """A part of a model that uses comparisons: integrated piece by piece, if it does not jump.

    Parameters
    ----------
    part : object
        Names the part.
    announce : callable, optional
        Called once it was integrated.
    projection : Projection, optional
        What its result is at the tensors of this pass, if that has a closed form.
    """

    part: object
    announce: Callable[[], None] | None = None
    projection: Projection | None = None
    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the operand and the result."""
        kept: list[Snapshot] = []

        def compute(x: Tensor) -> Tensor:
            y = call(x)
            kept.extend((Snapshot.take(x, copy), Snapshot.take(y, copy)))
            return y  # type: ignore[no-any-return]

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Integrate in the backward pass; raise Discontinuous if it jumps."""
        x1, y1 = (one.get() for one in kept)
        x0, y0 = Snapshot.take(call.tensors[0], copy), []

        def compute(x: Tensor) -> Tensor:
            y = call(x)
            y0.append(Snapshot.take(y, copy))
            return y  # type: ignore[no-any-return]

        def vjp(grads: Sequence[Tensor]) -> Any:
            recorded, reference = (x1, y1), (x0.get(), y0[0].get())
            if self.projection is not None:
                found = projection_vjp(self.projection, call, recorded, reference, grads[0])
                if found is not None:
                    return [found]
            found = piecewise_vjp(call, recorded, reference, grads[0])
            if found is None:
                raise Discontinuous(self.part)
            if self.announce is not None:
                self.announce()
            return [found]

        return VJPFunction.apply(compute, vjp, *call.tensors)


class SimplexRegion(Piecewise):
    """A part of a model that is sparsemax or entmax, or the threshold of one: it has a closed form."""
