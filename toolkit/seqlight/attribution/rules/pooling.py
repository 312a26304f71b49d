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

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, RuleFunction, without_base
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.elementwise import real_operand, smallest_step
from seqlight.errors import UnsupportedOperation

# Maxima of a window count as equal if they differ by less than this many units in the last place of the largest input
# of their row: the fast algorithm of convolutions rounds that much. With many more, some would differ in truth: so in
# half precision none but equal ones do, for convolutions add up in float32 there, and round once.
TIES = 16
# Then the multiplier may be above 1, by this factor at most.
SLACK = 1 + 1 / 256
# Windows with more inputs are compared in one pass unless they overlap, which would repeat their inputs in memory.
MANY_PLACES = 16


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
            # A window of padding alone has no maximum; it is one for every reference, too.
            if winners.numel() and int(winners.max()) >= x.shape[x.ndim - self.n_pooled :].numel():
                raise UnsupportedOperation(f"{call.name} has windows of padding alone: use less padding or dilation")
            kept.extend((Snapshot.take(x, copy), Snapshot.take(y, copy), Snapshot.take(winners, copy)))
            return y

        y = ObserveFunction.apply(compute, *real_operand(call))
        return (y, _mark(kept[2].tensor, *call.tensors)), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Credit the difference of each window to the winner in the sequence or in the reference."""
        recorded = tuple(one.get() for one in kept)
        indices: list[Tensor] = []
        window = None if call.returns_indices else _window(call)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            kernel = kernel_for("pooling.max_pool", x0.device.type, x0.dtype) if window else None
            found = kernel(recorded, x0, window, smallest_step(x0.dtype), tie_of(x0.dtype)) if kernel else None
            if found is not None:
                return found  # type: ignore[no-any-return]
            y0, winners0 = _maxima(call, x0)
            indices.append(winners0)
            return y0, *cross_maximum(recorded, (x0, y0, winners0), self.n_pooled, window)

        y = MaxPoolFunction.apply(compute, self.n_pooled, window, *real_operand(call))
        return y, _mark(indices[0], *call.tensors) if indices else None


def _maxima(call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima and their positions; the maxima as a tensor of its own."""
    y, winners = call(x)
    return without_base(y, x), winners


def cross_maximum(
    recorded: tuple[Tensor, ...],
    reference: tuple[Tensor, ...],
    n_pooled: int,
    window: tuple[int, int, int, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the position that gets the credit of each window, and the multiplier there.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, maxima and positions of the maxima, counted over the pooled dimensions.
    n_pooled : int
        How many of the last dimensions are pooled.
    window : tuple of int, optional
        Size, stride, padding and dilation, for windows over the last dimension alone; then the first of equal maxima
        is credited, else that which is reported.
    """
    x0, y0, winners0 = reference
    kernel = kernel_for("pooling.cross_maximum", x0.device.type, x0.dtype) if window is None else None
    found: tuple[Tensor, Tensor] | None = None
    if kernel:
        found = kernel(recorded, reference, n_pooled, smallest_step(x0.dtype))
    if found is not None:
        return found
    x1, y1, winners1 = (repeat_like(one, like) for one, like in zip(recorded, reference, strict=True))
    grown = y1 >= y0
    winners, dy = torch.where(grown, winners1, winners0), y1 - y0
    # At the winner one of the two inputs is the maximum itself.
    lead = x0.ndim - n_pooled
    at = winners.flatten(lead)
    dx = (x1.flatten(lead).gather(-1, at) - x0.flatten(lead).gather(-1, at)).view(winners.shape)
    if window is not None:
        missed1 = repeat_like(_places_before_equals(recorded[0], recorded[1], window), y0)
        # Ten times as fast as torch.where, which does not know what to expect.
        missed = (missed1 * grown).add_(_places_before_equals(x0, y0, window) * ~grown)
        _credit_first((x1, x0), missed, window, winners, dy, dx)
    multiplier = dy.div_(dx)
    # Equal maxima at a position that does not change: the plain gradient, 1.
    still = (dx.abs_() < smallest_step(dx.dtype)) | (y1 == y0) & dx.isnan()  # two infinities do not differ
    return winners, multiplier.masked_fill_(still, 1)


def tie_of(dtype: torch.dtype) -> float:
    """Return which share of the largest input of a row may part maxima that count as equal."""
    return TIES * torch.finfo(dtype).eps if dtype.itemsize > 2 else 0.0


def _credit_first(
    inputs: tuple[Tensor, Tensor],
    missed: Tensor,
    window: tuple[int, int, int, int],
    winners: Tensor,
    dy: Tensor,
    dx: Tensor,
) -> None:
    """Write the first of equal maxima into `winners`, and its step into `dx`, where it is not the reported one."""
    size, stride, padding, dilation = window
    starts = torch.arange(winners.shape[-1], device=winners.device) * stride - padding
    first = torch.add(starts, missed, alpha=dilation)
    # Those are few, for of maxima that are exactly equal the first is reported.
    *row, at = ((first != winners) & (missed < size)).nonzero(as_tuple=True)
    to, change = first[(*row, at)], dy[(*row, at)]
    step = inputs[0][(*row, to)] - inputs[1][(*row, to)]
    is_winner = (change * step > 0) & (change.abs() <= step.abs() * SLACK)
    windows = (*(one[is_winner] for one in row), at[is_winner])
    winners[windows], dx[windows] = to[is_winner], step[is_winner]


def _places_before_equals(x: Tensor, y: Tensor, window: tuple[int, int, int, int]) -> Tensor:
    """Return how many places of each window are before the first that counts as equal to the maximum."""
    (size, stride, padding, dilation), (width, windows) = window, (x.shape[-1], y.shape[-1])
    reach = dilation * (size - 1) + 1
    least = y - x.abs().nan_to_num_(0, 0, 0).amax(dim=-1, keepdim=True) * tie_of(x.dtype)
    least.clamp_min_(torch.finfo(x.dtype).min)  # padding is never equal
    before, after = padding, max(0, (windows - 1) * stride + reach - padding - width)
    padded = F.pad(x, (before, after), value=-torch.inf) if before or after else x
    if size > MANY_PLACES and stride >= reach:
        return _unequal_in_one_pass(padded.unfold(-1, reach, stride)[..., :windows, ::dilation], least)
    places = (padded[..., t * dilation :: stride][..., :windows] for t in range(size))
    return _unequal_by_place(places, least, size)


def _unequal_by_place(places: Iterable[Tensor], least: Tensor, size: int) -> Tensor:
    """Return how many inputs of each window are below `least` before one is not; `places` are those of all windows."""
    missed = torch.zeros_like(least, dtype=torch.int16 if size < 1 << 15 else torch.int64)
    found: Tensor | None = None
    for inputs in places:
        equal = inputs >= least
        found = equal if found is None else found.logical_or_(equal)
        missed += ~found
    return missed


def _unequal_in_one_pass(inputs: Tensor, least: Tensor) -> Tensor:
    """Return the same of windows with shape (..., windows, size)."""
    equal, size = inputs >= least.unsqueeze(-1), inputs.shape[-1]
    # The first place has the largest number.
    order = torch.arange(size, 0, -1, device=inputs.device, dtype=torch.int16 if size < 1 << 15 else torch.int64)
    return size - (equal * order).amax(dim=-1)


def _window(call: Call) -> tuple[int, int, int, int] | None:
    """Return size, stride, padding and dilation if windows extend over the last dimension alone, or None."""
    args, kwargs = call.arguments()
    if call.function is F.adaptive_max_pool1d_with_indices:
        return _adaptive_window(*args, **kwargs)
    n = {F.max_pool1d_with_indices: 1, F.max_pool2d_with_indices: 2}.get(call.function)
    if n is None:
        return None
    x, *settings = _pooling_settings(*args, **kwargs)
    each = [_pair(one, n) for one in settings]
    flat = n == 1 or (x.shape[-2] == 1 and [first for first, _ in each] == [1, 1, 0, 1])
    (size, stride, padding, dilation) = (last for _, last in each)
    return (size, stride, padding, dilation) if flat else None


def _adaptive_window(input: Tensor, output_size: Any, *_: Any, **__: Any) -> tuple[int, int, int, int] | None:
    """Return the windows of adaptive pooling if all are of one size that is a whole number, or None."""
    windows, width = _pair(output_size, 1)[1], input.shape[-1]
    equal = isinstance(windows, int) and windows > 0 and width % windows == 0
    return (width // windows, width // windows, 0, 1) if equal else None


def _pooling_settings(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *_: Any, **__: Any
) -> tuple[Any, ...]:
    return input, kernel_size, kernel_size if stride in (None, [], ()) else stride, padding, dilation


def _pair(one: Any, n: int) -> tuple[int, int]:
    many = list(one) if isinstance(one, tuple | list) else [one]
    return (many[0] if n == 2 else 1), many[-1]


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
                "and references would not be comparable: pass it fixed _random_samples"
            )
        found = FRACTIONAL_MAXIMA[n](input, kernel_size, output_size, output_ratio, _random_samples)
        return found if return_indices or indices else found[0]

    return pooled
