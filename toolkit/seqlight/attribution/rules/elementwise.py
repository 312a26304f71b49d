"""The rules for operations of one operand: the secant of what is elementwise, the cross-maximum of what pools.

The multiplier is computed in the forward pass, so that one tensor is kept, as in plain autograd.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.arena import spent
from seqlight.attribution.calls.pairing import repeated, split
from seqlight.attribution.calls.recording import Call, Function, Observed, Recorded, apply
from seqlight.attribution.rules import loops
from seqlight.errors import UnsupportedOperation


class Scaled(torch.autograd.Function):
    """An elementwise operation whose slope is the multiplier."""

    @staticmethod
    def forward(ctx: Any, compute: Function, x: Tensor) -> Tensor:
        """Return the output, and keep what the way back needs."""
        y, multiplier = compute(x.detach())
        ctx.save_for_backward(multiplier)
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        (multiplier,) = ctx.saved_tensors
        return None, spent(multiplier, grads[0])


class Late(torch.autograd.Function):
    """An elementwise operation whose multiplier is made on the way back."""

    @staticmethod
    def forward(ctx: Any, compute: Function, pull: Function, x: Tensor) -> Tensor:
        """Return the output."""
        ctx.pull = pull
        return compute(x.detach())  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        return None, None, ctx.pull(grads[0])


class Pooled(torch.autograd.Function):
    """A pooling that hands the gradient of each window, times its multiplier, to one position."""

    @staticmethod
    def forward(ctx: Any, compute: Function, n_pooled: int, x: Tensor) -> Tensor:
        """Return the output, and keep what the way back needs."""
        y, winners, multiplier = compute(x.detach())
        ctx.save_for_backward(winners, multiplier)
        ctx.shape, ctx.n_pooled = x.shape, n_pooled
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        winners, multiplier = ctx.saved_tensors
        at_once = loops.pool_gradients(grads[0], multiplier, winners, ctx.shape, ctx.n_pooled)
        if at_once is not None:
            return None, None, at_once
        lead = ctx.shape[: len(ctx.shape) - ctx.n_pooled]
        flat = grads[0].new_zeros(*lead, ctx.shape[len(lead) :].numel())
        # Windows may overlap: a position that wins several gets the credit of all.
        flat.scatter_add_(-1, winners.flatten(len(lead)), (grads[0] * multiplier).flatten(len(lead)))
        return None, None, flat.view(ctx.shape)


def threshold(dtype: torch.dtype) -> float:
    """Return the difference of inputs below which the tangent stands in for the secant.

    A secant over a smaller step is rounding noise; 1e-6 is what DeepLIFT implementations use for
    float32, and float64 resolves 1e-10.
    """
    return 1e-10 if dtype == torch.float64 else 1e-6


def secant(x1: Tensor, y1: Tensor, slope1: Tensor, x0: Tensor, y0: Tensor, *, infinite: bool = False) -> Tensor:
    """Return dy / dx, and the slope at the input where dx vanishes.

    Parameters
    ----------
    x1, y1, slope1 : torch.Tensor
        Input, output and derivative of the operation on the sequences.
    x0, y0 : torch.Tensor
        Input and output on the references.
    infinite : bool
        Whether outputs may be infinite: where both are, they do not differ.

    Returns
    -------
    torch.Tensor, shape of `x0`

    References
    ----------
    Shrikumar, Greenside and Kundaje (2017), Learning Important Features Through Propagating Activation
    Differences, equation 10: the rescale rule.
    """
    at_once = None if infinite else loops.secant(x1, y1, slope1, x0, y0, threshold(x0.dtype))
    if at_once is not None:
        return at_once
    shape = y0.shape
    x1, x0 = split(x1, x0)
    y1, y0 = split(y1, y0)
    slope1 = slope1.view(x1.shape) if slope1.shape != x1.shape else slope1
    dx, dy = x1 - x0, y1 - y0
    if infinite:
        dy.masked_fill_(y1 == y0, 0)
    multiplier = dy.div_(dx)
    # Asked this way round, a difference of two infinities, which is no number, counts as none.
    far = dx.abs_() >= threshold(dx.dtype)
    return torch.where(far, multiplier, slope1).view(shape)


@dataclass(frozen=True)
class Rescale:
    """Elementwise operations: the multiplier is the secant.

    Parameters
    ----------
    slope : callable, optional
        The derivative as a function of input and output; None to let autograd find it.
    infinite : bool
        Whether outputs may be infinite, as those of a mask are.
    late : callable, optional
        Takes the gradient at the output, inputs of sequences and references, and the threshold; returns the gradient
        at the input, or None where it cannot. So no multiplier has to be kept.
    """

    slope: Function | None = None
    infinite: bool = False
    late: Function | None = None

    @property
    def backward(self) -> type[torch.autograd.Function]:
        """The autograd function of most calls; of the others it is Scaled."""
        return Scaled if self.late is None else Late

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep input, output and slope."""
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y, slope = _value_and_slope(call, x) if self.slope is None else _with_slope(call, x, self.slope)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy), Recorded.of(slope, False)))
            return y

        return apply(Observed, compute, *_one_real(call)), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply with the secant between reference and input."""
        x1, y1, slope1 = (one.get() for one in kept)
        (x,) = _one_real(call)
        if self.late is not None and not copy and loops.suit(x1, x):
            return self._explained_late(call, x1, y1, slope1)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor]:
            y0 = call(x0)
            return y0, secant(x1, y1, slope1, x0, y0, infinite=self.infinite)

        return apply(Scaled, compute, x)

    def _explained_late(self, call: Call, x1: Tensor, y1: Tensor, slope1: Tensor) -> Any:
        assert self.late is not None
        late = self.late
        (x,) = call.tensors
        kept = Recorded.of(x, False)

        def pull(grad: Tensor) -> Tensor:
            x0 = kept.get()
            found = late(grad, x1, x0, threshold(x0.dtype))
            return grad * secant(x1, y1, slope1, x0, call(x0)) if found is None else found

        return apply(Late, call, pull, x)


@dataclass(frozen=True)
class MaxPool:
    """Max pooling over the last `n_pooled` dimensions: the cross-maximum of DeepLIFT.

    The difference of a window's maxima is credited to the position that holds the larger of the two:
    the winner in the sequence if the maximum grew, the winner in the reference if it fell. That position
    differs by at least as much, so the multiplier lies between 0 and 1.

    The call returns the maxima and where they are, counted over the pooled dimensions.
    """

    n_pooled: int
    backward: ClassVar[type[torch.autograd.Function]] = Pooled

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input, the maxima and where they are."""
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y, winners = call(x)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy), Recorded.of(winners, copy)))
            return y  # type: ignore[no-any-return]

        y = apply(Observed, compute, *_one_real(call))
        return (y, _remembering(kept[2].tensor, *call.tensors)), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Send each window's credit to the winner among both."""
        x1, y1, winners1 = (one.get() for one in kept)
        indices: list[Tensor] = []
        window = None if call.asked_where else _window(call)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            found = loops.pools((x1, y1, winners1), x0, window, threshold(x0.dtype)) if window else None
            if found is not None:
                return found
            y0, winners0 = call(x0)
            indices.append(winners0)
            at_once = loops.pool_credits((x1, y1, winners1), (x0, y0, winners0), self.n_pooled, threshold(x0.dtype))
            if at_once is not None:
                return y0, *at_once
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

        y = apply(Pooled, compute, self.n_pooled, *_one_real(call))
        return y, _remembering(indices[0], *call.tensors) if indices else None


def _window(call: Call) -> tuple[int, int, int, int] | None:
    """Return size, stride, padding and dilation of windows over the last dimension alone, or None."""
    n = {F.max_pool1d_with_indices: 1, F.max_pool2d_with_indices: 2}.get(call.function)
    if n is None:
        return None
    args, kwargs = call.arguments()
    x, *settings = _pooling(*args, **kwargs)
    each = [_pair(one, n) for one in settings]
    flat = n == 1 or (x.shape[-2] == 1 and [first for first, _ in each] == [1, 1, 0, 1])
    (size, stride, padding, dilation) = (last for _, last in each)
    return (size, stride, padding, dilation) if flat else None


def _pooling(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *_: Any, **__: Any
) -> tuple[Any, ...]:
    return input, kernel_size, kernel_size if stride is None or stride == [] else stride, padding, dilation


def _pair(one: Any, n: int) -> tuple[int, int]:
    many = list(one) if isinstance(one, tuple | list) else [one]
    return (many[0] if n == 2 else 1), many[-1]


def pooled_from(places: Tensor) -> Tensor | None:
    """Return the tensor in which a max pooling found `places`, or None if that is not known."""
    return getattr(places, "seqlight_pooled_from", None)


def _remembering(places: Tensor, x: Tensor) -> Tensor:
    # An alias, so that what is recorded does not keep the graph alive.
    places = places.detach()
    places.seqlight_pooled_from = x  # type: ignore[attr-defined]
    return places


def _one_real(call: Call) -> tuple[Tensor, ...]:
    (x,) = call.tensors
    if x.is_complex():
        raise UnsupportedOperation(f"{call.name} of a complex tensor has no rule")
    return (x,)


def _with_slope(call: Call, x: Tensor, slope: Function) -> tuple[Tensor, Tensor]:
    y = call(x)
    return y, slope(x, y)


def _value_and_slope(call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
    # The first pass lets autograd keep nothing; here it has to, for a moment.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is):
        x = x.detach().requires_grad_()
        y: Tensor = call(x)
        if not y.requires_grad:  # a constant, such as clamp(x, 1, 1)
            return y, torch.zeros_like(x)
        (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    return y.detach(), slope


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor
