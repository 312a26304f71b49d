"""The rules: what the mean Jacobian between a reference and an input is, for each kind of operation.

A rule sees an operation twice. `observe` meets it with the sequences, which go through the
model once, and keeps what will be needed. `explain` meets it with their references: it returns
the operation's true output, tied to its input by a backward pass that multiplies with the mean
Jacobian. The multiplier is computed there and then, so that one tensor is kept, as in plain autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from seqlight.attribution.pairing import repeated, split

Function = Callable[..., Any]


class Overwritten(Exception):  # noqa: N818 - never seen by a user: the engine records copies and starts again
    """A recorded tensor was changed in place after it was recorded."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A tensor, and how often it had been written to when it was recorded."""

    tensor: Tensor
    version: int

    @classmethod
    def of(cls, tensor: Tensor, copy: bool) -> Recorded:
        """Record `tensor` as it is, or a copy of it."""
        kept = tensor.detach().clone() if copy else tensor.detach()
        return cls(kept, kept._version)

    def get(self) -> Tensor:
        """Return the tensor; raise Overwritten if it is no longer what was recorded."""
        if self.tensor._version != self.version:
            raise Overwritten
        return self.tensor


class Rule(Protocol):
    """How one kind of operation is explained.

    Attributes
    ----------
    backward : type
        The autograd function whose node stands for it in the graph.
    """

    @property
    def backward(self) -> type[torch.autograd.Function]: ...

    def observe(self, op: Function, x: Tensor, copy: bool) -> tuple[Tensor, Any]:
        """Return ``op(x)`` for the sequences, and what to keep of it."""

    def explain(self, op: Function, x: Tensor, kept: Any) -> Tensor:
        """Return ``op(x)`` for the references, with the multiplier as its backward pass."""


class Observed(torch.autograd.Function):
    """An output that depends on its input, with no way back: all the first pass has to tell."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, compute: Function) -> Tensor:
        y: Tensor = compute(x.detach())
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise AssertionError("the first pass has no backward")


class Scaled(torch.autograd.Function):
    """An elementwise operation whose slope is the multiplier."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, compute: Function) -> Tensor:
        y, multiplier = compute(x.detach())
        ctx.save_for_backward(multiplier)
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (multiplier,) = ctx.saved_tensors
        return grads[0] * multiplier, None


class Pooled(torch.autograd.Function):
    """A pooling that hands the gradient of each window, times its multiplier, to one position."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, compute: Function, n_pooled: int) -> Tensor:
        y, winners, multiplier = compute(x.detach())
        ctx.save_for_backward(winners, multiplier)
        ctx.shape, ctx.n_pooled = x.shape, n_pooled
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        winners, multiplier = ctx.saved_tensors
        lead = ctx.shape[: len(ctx.shape) - ctx.n_pooled]
        flat = grads[0].new_zeros(*lead, ctx.shape[len(lead) :].numel())
        # Windows may overlap: a position that wins several gets the credit of all.
        flat.scatter_add_(-1, winners.flatten(len(lead)), (grads[0] * multiplier).flatten(len(lead)))
        return flat.view(ctx.shape), None, None


def threshold(dtype: torch.dtype) -> float:
    """Return the difference of inputs below which the tangent stands in for the secant.

    A secant over a smaller step is rounding noise; 1e-6 is what DeepLIFT implementations use for
    float32, and float64 resolves 1e-10.
    """
    return 1e-10 if dtype == torch.float64 else 1e-6


def secant(x1: Tensor, y1: Tensor, slope1: Tensor, x0: Tensor, y0: Tensor) -> Tensor:
    """Return dy / dx, and the slope at the input where dx vanishes.

    Parameters
    ----------
    x1, y1, slope1 : torch.Tensor
        Input, output and derivative of the operation on the sequences.
    x0, y0 : torch.Tensor
        Input and output on the references.

    Returns
    -------
    torch.Tensor, shape of `x0`

    References
    ----------
    Shrikumar, Greenside and Kundaje (2017), Learning Important Features Through Propagating Activation
    Differences, equation 10: the rescale rule.
    """
    shape = y0.shape
    x1, x0 = split(x1, x0)
    y1, y0 = split(y1, y0)
    slope1 = slope1.view(x1.shape) if slope1.shape != x1.shape else slope1
    dx = x1 - x0
    multiplier = (y1 - y0).div_(dx)
    near = dx.abs_() < threshold(dx.dtype)
    return torch.where(near, slope1, multiplier).view(shape)


@dataclass(frozen=True)
class Rescale:
    """Elementwise operations: the multiplier is the secant.

    Parameters
    ----------
    slope : callable, optional
        The derivative as a function of input and output; None to let autograd find it.
    """

    slope: Function | None = None
    backward: ClassVar[type[torch.autograd.Function]] = Scaled

    def observe(self, op: Function, x: Tensor, copy: bool) -> tuple[Tensor, Any]:
        """Keep input, output and slope."""
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y, slope = _value_and_slope(op, x) if self.slope is None else _with_slope(op, x, self.slope)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy), Recorded.of(slope, False)))
            return y

        return _apply(Observed, x, compute), kept

    def explain(self, op: Function, x: Tensor, kept: Any) -> Tensor:
        """Multiply with the secant between reference and input."""
        x1, y1, slope1 = (one.get() for one in kept)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor]:
            y0 = op(x0)
            return y0, secant(x1, y1, slope1, x0, y0)

        return _apply(Scaled, x, compute)


@dataclass(frozen=True)
class MaxPool:
    """Max pooling over the last `n_pooled` dimensions: the cross-maximum of DeepLIFT.

    The difference of a window's maxima is credited to the position that holds the larger of the two:
    the winner in the sequence if the maximum grew, the winner in the reference if it fell. That position
    differs by at least as much, so the multiplier lies between 0 and 1.
    """

    n_pooled: int
    backward: ClassVar[type[torch.autograd.Function]] = Pooled

    def observe(self, op: Function, x: Tensor, copy: bool) -> tuple[Tensor, Any]:
        """Keep the input, the maxima and where they are."""
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y, winners = op(x)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy), Recorded.of(winners, False)))
            return y  # type: ignore[no-any-return]

        return _apply(Observed, x, compute), kept

    def explain(self, op: Function, x: Tensor, kept: Any) -> Tensor:
        """Send each window's credit to the winner among both."""
        x1, y1, winners1 = (one.get() for one in kept)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            y0, winners0 = op(x0)
            y1_, winners1_ = repeated(y1, y0), repeated(winners1, winners0)
            grown = y1_ >= y0
            winners = torch.where(grown, winners1_, winners0)
            # At the winner one of the two inputs is the maximum itself.
            lead = x0.ndim - self.n_pooled
            at = winners.flatten(lead)
            dx = (repeated(x1, x0).flatten(lead).gather(-1, at) - x0.flatten(lead).gather(-1, at)).view(y0.shape)
            multiplier = (y1_ - y0).div_(dx)
            # Equal maxima at an unchanged position: the plain gradient, 1.
            return y0, winners, multiplier.masked_fill_(dx.abs_() < threshold(dx.dtype), 1)

        return _apply(Pooled, x, compute, self.n_pooled)


def _apply(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    out: Tensor = function.apply(*args)  # type: ignore[no-untyped-call]
    return out


def _with_slope(op: Function, x: Tensor, slope: Function) -> tuple[Tensor, Tensor]:
    y = op(x)
    return y, slope(x, y)


def _value_and_slope(op: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    # The first pass lets autograd keep nothing; here it has to, for a moment.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is):
        x = x.detach().requires_grad_()
        y: Tensor = op(x)
        if not y.requires_grad:  # a constant, such as clamp(x, 1, 1)
            return y, torch.zeros_like(x)
        (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    return y.detach(), slope


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor
