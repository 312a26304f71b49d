"""The rule for operations without an exact one: the mean Jacobian, integrated numerically.

More and more points on the line from reference to input are averaged, until the mean explains the operation's own
output difference and no longer changes. What has kinks, over which no such mean converges, takes the secants of its
elements if it is elementwise, or is integrated in pieces (``piecewise.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.attribution.calls.call import Call, ObserveFunction, without_base
from seqlight.attribution.calls.partners import batch_dimension, repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.mean_jacobian import VJPFunction, mean_vjp
from seqlight.attribution.rules.piecewise import piecewise_vjp
from seqlight.attribution.rules.simplex_projections import Projection, projection_vjp
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.device_dtypes import widest_dtype

# The numbers of points to try, one after the other.
POINTS = (6, 12, 24, 48, 96)
# And more, if twice the points left at most this share of the change: so it is for what is smooth but steep, a trained
# LSTM say. Kinks leave a quarter, and have other treatments.
MORE_POINTS = (192, 384)
STEEP = 0.1
# By how much of the largest difference the last mean may miss that of each element, for an operation to be elementwise.
ELEMENTWISE_ERROR = 0.05


@dataclass(frozen=True)
class Integrated:
    """Any differentiable operation.

    Parameters
    ----------
    projection : Projection, optional
        What its result is at the tensors of this pass, if that has a closed form.
    announce : callable, optional
        Called once it was integrated nevertheless.
    """

    projection: Projection | None = None
    announce: Callable[[], None] | None = None
    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep operands and outputs."""
        y, flat = _apply(ObserveFunction, call)
        return y, ([Snapshot.take(x, copy) for x in call.tensors], [Snapshot.take(one, copy) for one in flat])

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Integrate in the backward pass, where the gradients say which difference has to be explained."""
        x1, y1 = ([one.get() for one in some] for some in kept)
        x0 = [Snapshot.take(x, copy) for x in call.tensors]
        y0: list[Snapshot] = []

        def vjp(grads: Sequence[Tensor]) -> Any:
            own, results = [one.get() for one in x0], [one.get() for one in y0]
            if self.projection is not None:
                found = projection_vjp(self.projection, call, (x1[0], y1[0]), (own[0], results[0]), grads[0])
                if found is not None:
                    return [found]
            if self.announce is not None:
                self.announce()
            return refined_vjp(call, x1, own, y1, results, grads)

        y, flat = _apply(VJPFunction, call, vjp)
        y0.extend(Snapshot.take(one, copy) for one in flat)
        return y


class SimplexFunction(Integrated):
    """A function with a backward pass of its own that is sparsemax or entmax: it has a closed form."""


def _apply(function: Any, call: Call, *more: Any) -> tuple[Any, list[Tensor]]:
    """Return the result of a call through an autograd function, in the structure of the call's own, and its tensors."""
    structures: list[Any] = []

    def compute(*xs: Tensor) -> tuple[Any, ...]:
        leaves, structure = tree_flatten(call(*xs))
        structures.append(structure)
        bases = [one._base for one in leaves if isinstance(one, Tensor)]
        # Results that are views of one tensor stay so: writing to one may change another.
        alone = [isinstance(one, Tensor) and sum(one._base is base for base in bases) == 1 for one in leaves]
        return tuple(without_base(one, *xs) if free else one for one, free in zip(leaves, alone, strict=True))

    leaves = function.apply(compute, *more, *call.tensors)
    return tree_unflatten(leaves, structures[0]), [one for one in leaves if isinstance(one, Tensor)]


def refined_vjp(
    call: Call,
    x1: Sequence[Tensor],
    x0: Sequence[Tensor],
    y1: Sequence[Tensor],
    y0: Sequence[Tensor],
    grads: Sequence[Tensor],
) -> list[Tensor]:
    """Return the gradients at the operands, averaged over as many points as it takes.

    Parameters
    ----------
    call : Call
        The operation.
    x1, y1, x0, y0 : sequence of torch.Tensor
        Its operands and outputs with the sequences, and with the references.
    grads : sequence of torch.Tensor
        The gradients at its outputs.

    Raises
    ------
    UnsupportedOperation
        If no number of points explains the output difference.
    """
    if any(one.is_complex() for one in y0):
        raise UnsupportedOperation(
            f"{call.name}{call.location} has complex results and no rule: write it in .real and .imag."
        )
    dx = [repeat_like(a, b) - b for a, b in zip(x1, x0, strict=True)]
    real = [(a, b, g) for a, b, g in zip(y1, y0, grads, strict=True) if b.is_floating_point()]
    # Each row by itself: large differences in one must not hide what another misses.
    at = _row_dimensions([*zip(x1, x0, strict=True), *((a, b) for a, b, _ in real)])
    at_operands, at_outputs = at[: len(x0)], at[len(x0) :]
    wanted = _total([(repeat_like(a, b) - b) * g for a, b, g in real], at_outputs)
    tolerance = 1e-10 if x0[0].dtype == torch.float64 else 1e-5
    points, change, change_before = POINTS[0], math.inf, math.inf
    previous = mean_vjp(call, x1, x0, grads, points)
    for more in (*POINTS[1:], *MORE_POINTS):
        if more in MORE_POINTS and not 10 * tolerance < change <= STEEP * change_before:
            break
        points, change_before = more, change
        found = mean_vjp(call, x1, x0, grads, points)
        parts = [one * d for one, d in zip(found, dx, strict=True)]
        size = _total([part.abs() for part in parts], at_operands)
        explained = ((_total(parts, at_operands) - wanted).abs() <= tolerance * size).all()
        # Both numbers at once: the host waits for the device to tell them.
        explained, change = torch.stack(
            [explained.to(dx[0].dtype), _largest_change(found, previous, at_operands)]
        ).tolist()
        if explained and change <= 10 * tolerance:
            return found
        previous = found
    if len(dx) == len(y1) == 1 and y0[0].shape == dx[0].shape:
        secants = _secants(dx[0], repeat_like(y1[0], y0[0]) - y0[0], grads[0], found[0], tolerance, at_operands[0])
        if secants is not None:
            return [secants]
    if len(dx) == len(y1) == 1 and real:
        in_pieces = piecewise_vjp(call, (x1[0], y1[0]), (x0[0], y0[0]), grads[0])
        if in_pieces is not None:
            return [in_pieces]
    raise UnsupportedOperation(
        f"{call.name}{call.location} has no rule, and integrating it numerically with {points} points does not "
        "explain its output difference: replace the operation, or leave that part of the model out."
    )


def _row_dimensions(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[int | None]:
    """Return the dimension of the rows in each reference tensor, or None for all if that is not known."""
    found = [batch_dimension(recorded, reference) for recorded, reference in pairs]
    at = [None if one is None else one[0] for one in found]
    lengths = {None if d is None else b.shape[d] for d, (_, b) in zip(at, pairs, strict=True)}
    return at if len(lengths) == 1 else [None] * len(pairs)


def _by_row(one: Tensor, at: int | None) -> Tensor:
    """Return a tensor of shape (rows, anything)."""
    # A row may be a single number, a determinant say.
    return one.reshape(1, -1) if at is None else one[..., None].movedim(at, 0).flatten(1)


def _total(parts: Sequence[Tensor], at: Sequence[int | None]) -> Tensor:
    """Return the sum of each row over all of `parts`, in float64 where the device has it."""
    wide = widest_dtype(parts[0].device)
    return torch.stack([_by_row(part, d).to(wide).sum(1) for part, d in zip(parts, at, strict=True)]).sum(0)


def _largest_change(found: Sequence[Tensor], previous: Sequence[Tensor], at: Sequence[int | None]) -> Tensor:
    """Return by how much any row has changed since the previous number of points, as a share of its largest element."""
    shares = [_largest(a - b, d) / _largest(a, d) for a, b, d in zip(found, previous, at, strict=True)]
    # A row of zeros that is as it was has not changed.
    return torch.stack([share.nan_to_num(0, math.inf).max() for share in shares]).max()


def _largest(one: Tensor, at: int | None) -> Tensor:
    return _by_row(one, at).abs().amax(1)


def _secants(dx: Tensor, dy: Tensor, grad: Tensor, found: Tensor, tolerance: float, at: int | None) -> Tensor | None:
    """Return the secants of an elementwise operation with kinks, or None if it is not elementwise.

    It is, if what was found for each element nearly explains the difference of that element alone.
    """
    wanted, changed = dy * grad, dx.abs() >= tolerance
    largest = _largest(wanted, at)
    explained = (_largest(found * dx - wanted, at) <= ELEMENTWISE_ERROR * largest).all()
    # If an element does not change, no secant accounts for a change of its result.
    accounted = (_largest(wanted.masked_fill(changed, 0), at) <= 10 * tolerance * largest).all()
    if not bool(explained & accounted):
        return None
    return torch.where(changed, wanted / dx, found)
