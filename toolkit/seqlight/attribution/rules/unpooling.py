"""The rule for max unpooling: values written to places that themselves depend on the input.

The places come from a max pooling, whose input is known from them (``pooling.pooled_from``). If a value moves from
place a to place b, the results at both change by a step, because the pooled input at b rose above that at a. So the
step is credited to the change of the difference of these two inputs, and the change of the value itself to the value,
half way between both places: the product rule for a value and a place. The difference of the inputs does change, for it
has one sign or 0 in the sequence and the other sign or 0 in the reference, and two ties would have had the same winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, Function, ObserveFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.elementwise import smallest_exponent_step
from seqlight.attribution.rules.mean_jacobian import VJPFunction
from seqlight.attribution.rules.pooling import pooled_from
from seqlight.errors import UnsupportedOperation


@as_operation
def put(values: Tensor, places: Tensor, source: Tensor | None, width: int) -> Tensor:
    """Return rows of `width` with `values` at `places`, and 0 elsewhere.

    Parameters
    ----------
    values, places : torch.Tensor, shape (..., values)
    source : torch.Tensor, shape (..., pooled), optional
        What was pooled: `places` are the positions of its maxima.
    width : int
    """
    return values.new_zeros(*values.shape[:-1], width).scatter_(-1, places, values)


@dataclass(frozen=True)
class Unpool:
    """The rule for :func:`put`."""

    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the values, the places and the pooled input."""
        y = ObserveFunction.apply(call, *call.tensors)
        return y, [Snapshot.take(one, copy) for one in _operands(call)]

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Give the values the mean gradient of both places, and the pooled input that of the moves."""
        reference = _operands(call)
        values1, places1, *source1 = (repeat_like(one.get(), its) for one, its in zip(kept, reference, strict=True))
        values0, places0, *source0 = (one.detach() for one in reference)
        if not source0 and not torch.equal(places1, places0):
            raise UnsupportedOperation(
                f"{call.name} puts values to places that depend on the input, and where these come from is not known: "
                "pass it the indices as max pooling returned them."
            )
        mean = (values1 + values0) / 2
        moves = [one.gather(-1, places1) - one.gather(-1, places0) for one in (*source1, *source0)]

        def vjp(grads: Sequence[Tensor]) -> Any:
            grad0, grad1 = grads[0].gather(-1, places0), grads[0].gather(-1, places1)
            found = [(grad0 + grad1) / 2]
            if source0:
                rise = moves[0] - moves[1]
                # A rise that is rounding noise explains nothing; the loss then shows in the convergence delta.
                step = torch.where(rise >= smallest_exponent_step(rise.dtype), (grad1 - grad0) * mean / rise, 0)
                found.append(_moved(step, places1, places0, source0[0]))
            return found[: len(call.tensors)]

        return VJPFunction.apply(call, vjp, *call.tensors)


def _operands(call: Call) -> list[Tensor]:
    values, places, source, _ = call.arguments()[0]
    return [values, places] if source is None else [values, places, source]


def _moved(step: Tensor, to: Tensor, origin: Tensor, source: Tensor) -> Tensor:
    return torch.zeros_like(source).scatter_add_(-1, to, step).scatter_add_(-1, origin, -step)


def max_unpool(n: int) -> Function:
    """Return max unpooling over `n` dimensions, written with :func:`put`."""
    plain = getattr(F, f"max_unpool{n}d")

    def unpooled(input: Tensor, indices: Tensor, *more: Any, **named: Any) -> Tensor:
        shape = plain(input.detach(), indices, *more, **named).shape
        lead = input.ndim - n
        places, source = indices.flatten(lead), pooled_from(indices)
        _require_distinct(places, f"max_unpool{n}d")
        source = None if source is None else source.flatten(lead)
        y: Tensor = put(input.flatten(lead), places, source, shape[lead:].numel())
        return y.view(shape)

    return unpooled


def _require_distinct(places: Tensor, name: str) -> None:
    ordered = places.sort(-1).values
    if bool((ordered[..., 1:] == ordered[..., :-1]).any()):
        raise UnsupportedOperation(
            f"{name} puts several values to one place, of which PyTorch leaves open which counts: "
            "let the windows of the pooling not overlap."
        )
