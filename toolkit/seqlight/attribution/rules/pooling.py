"""The rule for max pooling: the cross-maximum.

The difference of a window's maxima is credited to the position that holds the larger of the two: the winner in the
sequence if the maximum grew, the winner in the reference if it fell. That position differs by at least as much, so the
multiplier lies between 0 and 1. Implementations of DeepLIFT know this rule as the cross-maximum (``cross_max`` in
SHAP's DeepExplainer).

Several positions of a window may hold the maximum, above a repeat or where a reference is the same everywhere. Then the
first of them is credited, and so it is where they differ by rounding alone: else another processor or dtype would
credit another position, and with it other letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, RuleFunction, without_base
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import align_partners, batch_dimension, repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.elementwise import real_operand, smallest_step
from seqlight.attribution.rules.finite_maxima import credit_finite
from seqlight.attribution.rules.first_maxima import credit_first, tie_of
from seqlight.attribution.rules.pooled_windows import Window, has_empty_window, window_maxima, window_of
from seqlight.errors import UnsupportedOperation


class MaxPoolFunction(RuleFunction):
    """A pooling that gives the gradient of each window, times its multiplier, to one position."""

    @staticmethod
    def forward(ctx: Any, compute: Function, n_pooled: int, window: Any, x: Tensor) -> Tensor:
        """Return the output, and keep what the backward pass needs."""
        y, winners, multiplier = compute(x.detach())
        ctx.save_for_backward(winners, multiplier)
        ctx.shape, ctx.n_pooled, ctx.window = x.shape, n_pooled, window
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        winners, multiplier = ctx.saved_tensors
        (grad,) = grads
        kernel = kernel_for("pooling.max_pool_vjp", grad.device.type, grad.dtype)
        found = kernel(grad, multiplier, winners, ctx.shape, ctx.n_pooled, ctx.window) if kernel else None
        if found is not None:
            return None, None, None, found
        lead = ctx.shape[: len(ctx.shape) - ctx.n_pooled]
        flat = grad.new_zeros(*lead, ctx.shape[len(lead) :].numel())
        # Windows may overlap: a position that wins several gets the credit of all of them.
        flat.scatter_add_(-1, winners.flatten(len(lead)).long(), (grad * multiplier).flatten(len(lead)))
        return None, None, None, flat.view(ctx.shape)


@dataclass(frozen=True)
class MaxPool:
    """Max pooling over the last `n_pooled` dimensions.

    The call returns the maxima and their positions, counted over the pooled dimensions.
    """

    n_pooled: int
    backward: ClassVar[type[torch.autograd.Function]] = MaxPoolFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input, the maxima and their positions."""
        kept: list[Snapshot] = []

        def compute(x: Tensor) -> Tensor:
            y, winners = _maxima(call, x)
            if has_empty_window(call, x, y):
                raise UnsupportedOperation(f"{call.name} has windows of padding alone: use less padding or dilation.")
            kept.extend((Snapshot.take(x, copy), Snapshot.take(y, copy), Snapshot.take(winners, copy)))
            return y

        y = ObserveFunction.apply(compute, *real_operand(call))
        return (y, _mark(kept[2].tensor, *call.tensors)), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Credit the difference of each window to the winner in the sequence or in the reference."""
        x1, y1, winners1 = (one.get() for one in kept)
        recorded = x1, y1, winners1
        indices: list[Tensor] = []
        window = None if call.returns_indices else _window_within_rows(call, x1)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            kernel = kernel_for("pooling.max_pool", x0.device.type, x0.dtype) if window else None
            found = kernel(recorded, x0, window, smallest_step(x0.dtype), tie_of(x0.dtype)) if kernel else None
            if found is not None:
                return found  # type: ignore[no-any-return]
            winners0: Tensor | None = None
            if window is not None and x0.is_cpu:
                y0 = without_base(window_maxima(x0, window, y1.shape[-1]), x0)
            else:
                y0, winners0 = _maxima(call, x0)
                indices.append(winners0)
            return y0, *cross_maximum(recorded, (x0, y0, winners0), self.n_pooled, window)

        y = MaxPoolFunction.apply(compute, self.n_pooled, window, *real_operand(call))
        return y, _mark(indices[0], *call.tensors) if indices else None


def _maxima(call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima and their positions; the maxima as a tensor of its own."""
    y, winners = call(x)
    return without_base(y, x), winners


def _window_within_rows(call: Call, recorded: Tensor) -> Window | None:
    """Return the windows of a call over the last dimension, unless that is the one that holds the references."""
    at = batch_dimension(recorded, *call.tensors)
    return None if at is not None and at[0] == recorded.ndim - 1 else window_of(call)


def cross_maximum(
    recorded: tuple[Tensor, Tensor, Tensor],
    reference: tuple[Tensor, Tensor, Tensor | None],
    n_pooled: int,
    window: Window | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the position that gets the credit of each window, and the multiplier there.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, maxima and positions of the maxima, counted over the pooled dimensions.
    n_pooled : int
        How many of the last dimensions are pooled.
    window : Window, optional
        For windows over the last dimension alone; then the first of equal maxima is credited, else that which is
        reported.
    """
    if window is not None:
        credits = credit_finite(recorded, reference, window) if reference[0].is_cpu else None
        if credits is not None:
            return credits
        winners, dy, dx = credit_first(recorded, reference, window)
    else:
        kernel = kernel_for("pooling.cross_maximum", reference[0].device.type, reference[0].dtype)
        found: tuple[Tensor, Tensor] | None = None
        if kernel:
            found = kernel(recorded, reference, n_pooled, smallest_step(reference[0].dtype))
        if found is not None:
            return found
        winners, dy, dx = _credit_reported(recorded, reference, n_pooled)
    y1, y0 = align_partners(recorded[1], reference[1])
    multiplier = dy.div_(dx)
    # Equal maxima at a position that does not change: the plain gradient, 1. Two infinities do not differ.
    still = dx.isnan().logical_and_((y1 == y0).reshape(dx.shape)).logical_or_(dx.abs_() < smallest_step(dx.dtype))
    return winners, multiplier.masked_fill_(still, 1)


def _credit_reported(
    recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, Tensor, Tensor | None], n_pooled: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the winner of each window as PyTorch reports it, and the differences of maxima and of inputs there."""
    x0, y0, winners0 = reference
    assert winners0 is not None
    x1, y1, winners1 = (repeat_like(one, like) for one, like in zip(recorded, (x0, y0, winners0), strict=True))
    grown = y1 >= y0
    winners, dy = torch.where(grown, winners1, winners0), y1 - y0
    # At the winner one of the two inputs is the maximum itself.
    lead = x0.ndim - n_pooled
    at = winners.flatten(lead)
    dx = (x1.flatten(lead).gather(-1, at) - x0.flatten(lead).gather(-1, at)).view(winners.shape)
    return winners, dy, dx


def pooled_from(places: Tensor) -> Tensor | None:
    """Return the input of the max pooling that returned `places`, or None if that is not known."""
    return getattr(places, "seqlight_pooled_from", None)


def _mark(places: Tensor, x: Tensor) -> Tensor:
    # An alias, so that a recorded tensor does not keep the graph alive.
    places = places.detach()
    places.seqlight_pooled_from = x  # type: ignore[attr-defined]
    return places


def _fractional_maxima(n: int) -> Function:
    plain = getattr(F, f"fractional_max_pool{n}d_with_indices")

    @as_operation
    def maxima(x: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor) -> Any:
        return plain(x, kernel_size, output_size, output_ratio, True, samples)

    return maxima


# Fractional max pooling over so many dimensions, with windows that its last operand fixes: maxima and their positions.
FRACTIONAL_MAXIMA = {n: _fractional_maxima(n) for n in (2, 3)}


def fractional_max_pool(n: int, indices: bool) -> Function:
    """Return fractional max pooling over `n` dimensions, written with these; with `indices`, it always returns both."""

    def pooled(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = indices,
        _random_samples: Tensor | None = None,
    ) -> Any:
        if _random_samples is None:
            raise UnsupportedOperation(
                f"fractional_max_pool{n}d draws its windows anew in each call, in evaluation mode too, so sequences "
                "and references would not be comparable: pass it fixed _random_samples."
            )
        found = FRACTIONAL_MAXIMA[n](input, kernel_size, output_size, output_ratio, _random_samples)
        return found if return_indices or indices else found[0]

    return pooled
