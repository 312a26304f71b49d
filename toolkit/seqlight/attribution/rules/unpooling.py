"""Max unpooling: values put to places that themselves depend on the input.

The places come from a max pooling, which leaves on them what it pooled. A value that moves from place
a to place b changes both by a step, of which the pooled input is to blame: its b rose above its a. So the
step is credited to what that difference changed by, and what the value itself changed by to the value,
half way between both places: the product rule for a value and a place. The pooled difference does change:
it is at least 0 in the one and at most 0 in the other, and two ties would have had the same winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, Function, Observed
from seqlight.attribution.calls.function_bodies import operation
from seqlight.attribution.calls.pairs import repeated
from seqlight.attribution.calls.record import Recorded
from seqlight.attribution.rules.elementwise import threshold
from seqlight.attribution.rules.mean_jacobian import Averaged
from seqlight.attribution.rules.pooling import pooled_from
from seqlight.errors import UnsupportedOperation


@operation
def put(values: Tensor, places: Tensor, source: Tensor | None, width: int) -> Tensor:
    """Return a row of `width` with `values` at `places` of its last dimension, and 0 elsewhere.

    Parameters
    ----------
    values, places : torch.Tensor, shape (..., values)
    source : torch.Tensor, shape (..., pooled), optional
        Of which `places` are where the maxima are.
    width : int
    """
    return values.new_zeros(*values.shape[:-1], width).scatter_(-1, places, values)


@dataclass(frozen=True)
class Unpool:
    """The rule for :func:`put`."""

    backward: ClassVar[type[torch.autograd.Function]] = Averaged

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep values, places and what was pooled."""
        y = Observed.apply(call, *call.tensors)
        return y, [Recorded.of(one, copy) for one in _operands(call)]

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Take the mean of both places for the values, and credit the move to what was pooled."""
        reference = _operands(call)
        values1, places1, *source1 = (repeated(one.get(), its) for one, its in zip(kept, reference, strict=True))
        values0, places0, *source0 = (one.detach() for one in reference)
        if not source0 and not torch.equal(places1, places0):
            raise UnsupportedOperation(
                f"{call.name} puts values to places that depend on the input, and where these come from is not known: "
                "pass it the indices as max pooling returned them"
            )
        both = (values1 + values0) / 2
        moves = [one.gather(-1, places1) - one.gather(-1, places0) for one in (*source1, *source0)]

        def vjp(grads: Sequence[Tensor]) -> Any:
            here, there = grads[0].gather(-1, places0), grads[0].gather(-1, places1)
            found = [(here + there) / 2]
            if source0:
                rise = moves[0] - moves[1]
                # A rise that is rounding noise explains nothing; what is left out shows in the delta.
                step = torch.where(rise >= threshold(rise.dtype), (there - here) * both / rise, 0)
                found.append(_moved(step, places1, places0, source0[0]))
            return found[: len(call.tensors)]

        return Averaged.apply(call, vjp, *call.tensors)


def _operands(call: Call) -> list[Tensor]:
    values, places, source, _ = call.arguments()[0]
    return [values, places] if source is None else [values, places, source]


def _moved(step: Tensor, to: Tensor, origin: Tensor, source: Tensor) -> Tensor:
    return torch.zeros_like(source).scatter_add_(-1, to, step).scatter_add_(-1, origin, -step)


def max_unpool(n: int) -> Function:
    """Return max unpooling over `n` dimensions, in operations that have rules."""
    plain = getattr(F, f"max_unpool{n}d")

    def unpooled(input: Tensor, indices: Tensor, *more: Any, **named: Any) -> Tensor:
        shape = plain(input.detach(), indices, *more, **named).shape
        lead = input.ndim - n
        places, source = indices.flatten(lead), pooled_from(indices)
        _refuse_shared(places, f"max_unpool{n}d")
        source = None if source is None else source.flatten(lead)
        y: Tensor = put(input.flatten(lead), places, source, shape[lead:].numel())
        return y.view(shape)

    return unpooled


def _refuse_shared(places: Tensor, name: str) -> None:
    ordered = places.sort(-1).values
    if bool((ordered[..., 1:] == ordered[..., :-1]).any()):
        raise UnsupportedOperation(
            f"{name} puts several values to one place, of which PyTorch leaves open which counts: "
            "let the windows of the pooling not overlap"
        )
