"""The rules for selections, whose results are values of a row: order statistics, running extremes, the mode.

A sorted row is piecewise linear in the row. Its mean Jacobian on the line from reference to input would be the share of
the line that each value spends at each rank, which takes the crossings of all pairs. The rule used here costs a sort,
and generalises the cross-maximum of max pooling: the difference of a result is credited to one value that crosses it.

Such a value exists. Suppose that the k-th smallest grew. In the reference k values are at most as large as it; in the
sequence at most k - 1 are smaller than the new one, so at least one of the former is now at least as large. The
difference of that value is at least that of the result, so the multiplier lies between 0 and 1. Among several such
values, the one that ends up highest is taken; if the statistic fell, the one that ends up lowest of those that were at
least as large. For the largest and the smallest value this is the rule of max pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, RuleFunction
from seqlight.attribution.calls.partners import batch_dimension, repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.elementwise import ScaleFunction, smallest_step
from seqlight.errors import UnsupportedOperation


class CreditFunction(RuleFunction):
    """A selection that gives the gradient of each result, times a multiplier, to one value of the last dimension."""

    @staticmethod
    def forward(ctx: Any, compute: Function, x: Tensor) -> Tensor:
        """Return the output, and keep what the backward pass needs."""
        y, winners, multiplier = compute(x.detach())
        ctx.save_for_backward(winners, multiplier)
        ctx.length = x.shape[-1]
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the rows."""
        winners, multiplier = ctx.saved_tensors
        # A value that accounts for several results gets the credit of all.
        flat = grads[0].new_zeros(*grads[0].shape[:-1], ctx.length)
        return None, flat.scatter_add_(-1, winners, grads[0] * multiplier)


@dataclass(frozen=True)
class Row:
    """Rows, the results of a selection from them, and the positions of the results."""

    x: Tensor
    y: Tensor
    at: Tensor


@dataclass(frozen=True)
class Selection:
    """A selection over the last dimension; the call returns results and their positions.

    Parameters
    ----------
    choose : callable
        Takes the rows of the sequences and of the references; returns the positions of the values that get the credit.
    """

    choose: Function
    backward: ClassVar[type[torch.autograd.Function]] = CreditFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the rows, the results and their positions."""
        return _observed(call, copy)

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Credit the difference of each result to one value."""
        indices: list[Tensor] = []

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            sequence, reference = _partners(call, kept, x0)
            indices.append(reference.at)
            winners = self.choose(sequence, reference)
            dx = sequence.x.gather(-1, winners) - x0.gather(-1, winners)
            return reference.y, winners, _share(_difference(sequence.y, reference.y), dx)

        y = CreditFunction.apply(compute, *call.tensors)
        return y, indices[0]


@dataclass(frozen=True)
class Mode:
    """The mode, which jumps from value to value while these hardly change.

    No single value need account for its difference, so this is divided over the row in proportion to the difference of
    each value: these are the smallest multipliers that add up. Where nothing differs, the plain gradient.
    """

    backward: ClassVar[type[torch.autograd.Function]] = ScaleFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the rows, the results and their positions."""
        return _observed(call, copy)

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Divide the difference of each result over its row."""
        indices: list[Tensor] = []

        def compute(x0: Tensor) -> tuple[Tensor, Tensor]:
            sequence, reference = _partners(call, kept, x0)
            indices.append(reference.at)
            dx = _difference(sequence.x, x0)
            largest = dx.abs().amax(-1, keepdim=True)
            shares = dx / largest  # at most 1, so that squares neither underflow nor overflow
            weights = _difference(sequence.y, reference.y) * shares / (largest * (shares * shares).sum(-1, True))
            plain = torch.zeros_like(x0).scatter_(-1, sequence.at, 1)
            return reference.y, torch.where(largest >= smallest_step(x0.dtype), weights, plain)

        y = ScaleFunction.apply(compute, *call.tensors)
        return y, indices[0]


def crossing_value(sequence: Row, reference: Row) -> Tensor:
    """Return for each rank, from the smallest, the position of a value that crosses it (see above)."""
    # The values of the sequence where the reference has its smallest, its second smallest ...
    values = sequence.x.gather(-1, reference.at).nan_to_num(torch.inf, torch.inf, -torch.inf)
    highest_up_to = values.cummax(-1).indices
    lowest_from = values.shape[-1] - 1 - values.flip(-1).cummin(-1).indices.flip(-1)
    return reference.at.gather(-1, torch.where(sequence.y >= reference.y, highest_up_to, lowest_from))


def larger_maximum(sequence: Row, reference: Row) -> Tensor:
    """Return for each maximum its position in whichever has the larger one: the rule of max pooling."""
    return torch.where(sequence.y >= reference.y, sequence.at, reference.at)


def _observed(call: Call, copy: bool) -> tuple[Any, Any]:
    kept: list[Snapshot] = []

    def compute(x: Tensor) -> Tensor:
        y, at = call(x)
        kept.extend(Snapshot.take(one, copy) for one in (x, y, at))
        return y  # type: ignore[no-any-return]

    y = ObserveFunction.apply(compute, *call.tensors)
    return (y, kept[2].tensor), kept


def _partners(call: Call, kept: Any, x0: Tensor) -> tuple[Row, Row]:
    x1, y1, at1 = (one.get() for one in kept)
    at = batch_dimension(x1, x0)
    if at is not None and at[0] == x0.ndim - 1:
        raise UnsupportedOperation(f"{call.name} over the batch mixes the sequences: leave that part of the model out.")
    y0, at0 = call(x0)
    return Row(repeat_like(x1, x0), repeat_like(y1, y0), repeat_like(at1, at0)), Row(x0, y0, at0)


def _difference(a: Tensor, b: Tensor) -> Tensor:
    # Equal infinities, masked in both, do not differ; nor do two NaNs.
    return (a - b).masked_fill_((a == b) | (a.isnan() & b.isnan()), 0)


def _share(dy: Tensor, dx: Tensor) -> Tensor:
    """Return dy / dx, or the plain gradient, 1, where that is undefined."""
    defined = (dx.abs() >= smallest_step(dx.dtype)) & dx.isfinite() & dy.isfinite()
    return torch.where(defined, dy / dx, 1)
