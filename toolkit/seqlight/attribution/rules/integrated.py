"""Rules for operations of several operands: the Jacobian averaged on the line from reference to input.

A product of two operands has a Jacobian that is linear on that line, so its mean is its value half way.
One of three or four takes two points, and so on: Gauss and Legendre's points make it exact. What is no
product is integrated with more and more points until it explains its own output difference.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.attribution.calls.call import Call, Function, Observed, RuleFunction
from seqlight.attribution.calls.cudnn import WITHOUT_CUDNN
from seqlight.attribution.calls.pairs import between, repeated, split, split_dimension
from seqlight.attribution.calls.record import Recorded
from seqlight.attribution.kernels.buffers import empty_like
from seqlight.attribution.rules.piecewise import piecewise_pull
from seqlight.errors import UnsupportedOperation

# How many points an operation without a rule is tried with, and how well they must agree.
ROUNDS = (6, 12, 24, 48, 96)
# How far off the last sum may be for each element of an elementwise operation that has kinks.
KINKED = 0.05


class Averaged(RuleFunction):
    """An operation whose way back is a function of the gradients at its outputs."""

    @staticmethod
    def forward(ctx: Any, compute: Function, pull: Function, *xs: Tensor) -> Any:
        """Return the output, and keep what the way back needs."""
        ctx.pull = pull
        return compute(*(x.detach() for x in xs))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        return None, None, *ctx.pull(grads)


@dataclass(frozen=True)
class Product:
    """What is linear in each of its operands; exact.

    Parameters
    ----------
    pull : callable, optional
        For two operands: from the gradient at the output and both operands to the gradients at these.
        None to let autograd find it, or what it returns where it cannot tell.
    """

    pull: Function | None = None
    backward: ClassVar[type[torch.autograd.Function]] = Averaged

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the operands."""
        return Observed.apply(call, *call.tensors), [Recorded.of(x, copy) for x in call.tensors]

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Take the Jacobian half way, or at as many points as it takes for more than two operands."""
        x1 = [one.get() for one in kept]
        if len(x1) > 2:
            x0 = [Recorded.of(x, copy) for x in call.tensors]
            points = (len(x1) + 1) // 2

            def pull_all(grads: Sequence[Tensor]) -> Any:
                return mean_pull(call, x1, [one.get() for one in x0], grads, points)

            return Averaged.apply(call, pull_all, *call.tensors)
        half_way = [_half_way(one, x.detach()) for one, x in zip(x1, call.tensors, strict=True)]
        # Keywords may come in any order.
        direct = None if call.arguments()[1] else self.pull

        def pull(grads: Sequence[Tensor]) -> Any:
            found = None if direct is None else direct(grads[0], *half_way)
            return _pulled(call, half_way, grads) if found is None else found

        return Averaged.apply(call, pull, *call.tensors)


def _half_way(recorded: Tensor, reference: Tensor) -> Tensor:
    if not reference.is_cpu:
        return between(recorded, reference, 0.5)
    out = empty_like(reference)
    a, b = split(recorded, reference)
    torch.lerp(b, a.to(b.dtype), 0.5, out=out.view(b.shape))
    return out


@dataclass(frozen=True)
class Integrated:
    """Any differentiable operation, with as many points as it takes to explain its own output difference."""

    backward: ClassVar[type[torch.autograd.Function]] = Averaged

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep operands and outputs."""
        y, flat = _folded(call, Observed, (), call.tensors)
        return y, ([Recorded.of(x, copy) for x in call.tensors], [Recorded.of(one, copy) for one in flat])

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Integrate in the backward pass, where the gradients tell what has to be explained."""
        x1, y1 = ([one.get() for one in some] for some in kept)
        x0 = [Recorded.of(x, copy) for x in call.tensors]
        y0: list[Recorded] = []

        def pull(grads: Sequence[Tensor]) -> Any:
            return refined_pull(call, x1, [one.get() for one in x0], y1, [one.get() for one in y0], grads)

        y, flat = _folded(call, Averaged, (pull,), call.tensors)
        y0.extend(Recorded.of(one, copy) for one in flat)
        return y


def _folded(call: Call, function: Any, more: tuple[Any, ...], xs: Sequence[Tensor]) -> tuple[Any, list[Tensor]]:
    """Return the result of a call as an autograd function makes it, folded as the call's own, and its tensors."""
    structures: list[Any] = []

    def compute(*xs: Tensor) -> tuple[Any, ...]:
        leaves, structure = tree_flatten(call(*xs))
        structures.append(structure)
        return tuple(leaves)

    leaves = function.apply(compute, *more, *xs)
    return tree_unflatten(leaves, structures[0]), [one for one in leaves if isinstance(one, Tensor)]


def refined_pull(
    call: Call,
    x1: Sequence[Tensor],
    x0: Sequence[Tensor],
    y1: Sequence[Tensor],
    y0: Sequence[Tensor],
    grads: Sequence[Tensor],
) -> list[Tensor]:
    """Return what :func:`mean_pull` does, with as many points as it takes.

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
        If the sums do not meet the output difference, or do not settle.
    """
    dx = [repeated(a, b) - b for a, b in zip(x1, x0, strict=True)]
    real = [(a, b, g) for a, b, g in zip(y1, y0, grads, strict=True) if b.is_floating_point()]
    # Each pair by itself: what is large in one must not hide what another misses.
    at = _rows([*zip(x1, x0, strict=True), *((a, b) for a, b, _ in real)])
    across, along = at[: len(x0)], at[len(x0) :]
    wanted = _total([(repeated(a, b) - b) * g for a, b, g in real], along)
    tolerance = 1e-10 if x0[0].dtype == torch.float64 else 1e-5
    before: list[Tensor] | None = None
    for points in ROUNDS:
        found = mean_pull(call, x1, x0, grads, points)
        parts = [one * d for one, d in zip(found, dx, strict=True)]
        size = _total([part.abs() for part in parts], across)
        met = bool(((_total(parts, across) - wanted).abs() <= tolerance * size).all())
        if met and before is not None and _settled(found, before, across, tolerance):
            return found
        before = found
    if len(dx) == len(y1) == 1 and y0[0].shape == dx[0].shape:
        of_each = _secants(dx[0], repeated(y1[0], y0[0]) - y0[0], grads[0], found[0], tolerance, across[0])
        if of_each is not None:
            return [of_each]
    if len(dx) == len(y1) == 1 and real:
        in_pieces = piecewise_pull(call, (x1[0], y1[0]), (x0[0], y0[0]), grads[0])
        if in_pieces is not None:
            return [in_pieces]
    raise UnsupportedOperation(
        f"{call.name}{call.where} has no rule, and integrating it numerically with {ROUNDS[-1]} points does not "
        "explain its output difference: replace the operation, or leave that part of the model out."
    )


def _rows(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[int | None]:
    """Return in which dimension of each reference tensor its rows lie; None for all where that is not known."""
    found = [split_dimension(recorded, reference) for recorded, reference in pairs]
    at = [None if one is None else one[0] for one in found]
    lengths = {None if d is None else b.shape[d] for d, (_, b) in zip(at, pairs, strict=True)}
    return at if len(lengths) == 1 else [None] * len(pairs)


def _by_row(one: Tensor, at: int | None) -> Tensor:
    """Return a tensor of shape (rows, anything)."""
    # A row may be one number alone, as of a determinant.
    return one.reshape(1, -1) if at is None else one[..., None].movedim(at, 0).flatten(1)


def _total(parts: Sequence[Tensor], at: Sequence[int | None]) -> Tensor:
    """Return the sum of each row over all of `parts`, in float64."""
    return torch.stack([_by_row(part, d).double().sum(1) for part, d in zip(parts, at, strict=True)]).sum(0)


def _settled(found: Sequence[Tensor], before: Sequence[Tensor], at: Sequence[int | None], tolerance: float) -> bool:
    """Return whether no row changed any more."""
    return all(
        bool((_largest(a - b, d) <= 10 * tolerance * _largest(a, d)).all())
        for a, b, d in zip(found, before, at, strict=True)
    )


def _largest(one: Tensor, at: int | None) -> Tensor:
    return _by_row(one, at).abs().amax(1)


def _secants(dx: Tensor, dy: Tensor, grad: Tensor, found: Tensor, tolerance: float, at: int | None) -> Tensor | None:
    """Return the secants of what is elementwise and has kinks, over which no sum of points converges, or None.

    It is elementwise if what was found for each element nearly explains the difference of that element alone.
    """
    wanted, far = dy * grad, dx.abs() >= tolerance
    largest = _largest(wanted, at)
    near = bool((_largest(found * dx - wanted, at) <= KINKED * largest).all())
    # An element that does not change itself has no secant to account for a change of its result.
    if not (near and bool((_largest(wanted.masked_fill(far, 0), at) <= 10 * tolerance * largest).all())):
        return None
    return torch.where(far, wanted / dx, found)


def mean_pull(
    call: Call, x1: Sequence[Tensor], x0: Sequence[Tensor], grads: Sequence[Tensor], points: int
) -> list[Tensor]:
    """Return the gradients at the operands, averaged over Gauss and Legendre's points on the line."""
    total = [torch.zeros_like(x) for x in x0]
    for share, weight in _gauss_legendre(points):
        at = [between(a, b, share) for a, b in zip(x1, x0, strict=True)]
        for sum_, found in zip(total, _pulled(call, at, grads), strict=True):
            sum_.add_(found, alpha=weight)
    return total


def _pulled(call: Call, operands: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients at `operands`; zeros where there is no way back."""
    # cuDNN refuses the backward pass of a recurrent network in evaluation mode.
    on_cuda = any(x.is_cuda for x in operands)
    with torch.enable_grad(), WITHOUT_CUDNN.apply() if on_cuda else contextlib.nullcontext():
        leaves = [x.detach().requires_grad_() for x in operands]
        outputs = [one for one in tree_flatten(call(*leaves))[0] if isinstance(one, Tensor)]
        ways = [(y, g) for y, g in zip(outputs, grads, strict=True) if y.requires_grad]
        ys, gs = [y for y, _ in ways], [g for _, g in ways]
        found: Sequence[Tensor | None] = [None] * len(leaves)
        if ways:
            try:
                found = torch.autograd.grad(ys, leaves, gs, allow_unused=True)
            except RuntimeError as error:
                if "not implemented" not in str(error):
                    raise
                raise UnsupportedOperation(
                    f"{call.name}{call.where} has no rule, and PyTorch knows no derivative of it ({error}): "
                    "replace the operation, or leave that part of the model out."
                ) from None
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


@cache
def _gauss_legendre(points: int) -> list[tuple[float, float]]:
    at, weights = np.polynomial.legendre.leggauss(points)
    return [(float(a + 1) / 2, float(w) / 2) for a, w in zip(at, weights, strict=True)]
