"""The rule for elementwise operations: the multiplier is the secant ``(y1 - y0) / (x1 - x0)``.

The secant is the mean slope on the line from reference to input. Where there is a kernel that multiplies by it in the
backward pass, it needs no memory. Else it is computed in the forward pass, so that one tensor is kept, as in plain
autograd.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, RuleFunction
from seqlight.attribution.calls.partners import align_partners
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.buffers import empty_like
from seqlight.attribution.kernels.memory_layout import are_long, are_many, are_packed
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.difference_quotients import secant_or_slope
from seqlight.errors import UnsupportedOperation

# Numbers at a time, or those of one reference of each sequence: several passes over them stay in a processor's cache.
PIECE = 2**16


class ScaleFunction(RuleFunction):
    """An elementwise operation with a given multiplier in place of its slope."""

    @staticmethod
    def forward(ctx: Any, compute: Function, x: Tensor) -> Tensor:
        """Return the output, and keep the multiplier."""
        y, multiplier = compute(x.detach())
        ctx.save_for_backward(multiplier)
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (multiplier,) = ctx.saved_tensors
        return None, grads[0] * multiplier


class RescaleFunction(RuleFunction):
    """An elementwise operation whose secant is computed in the backward pass, so that no multiplier has to be kept."""

    @staticmethod
    def forward(ctx: Any, rule: Rescale, call: Call, recorded: tuple[Tensor, ...], copy: bool, x0: Tensor) -> Any:
        """Return the output, and keep what is known of sequences and references."""
        y0 = call(x0.detach())
        mine = empty_like(x0).copy_(x0) if copy else x0
        # What is overwritten need not stay in memory.
        ctx.rule, ctx.call, ctx.recorded = rule, call.without_tensors() if copy else call, recorded
        ctx.reference = Snapshot.take(mine, False), Snapshot.take(y0, False) if len(recorded) > 1 else None
        return y0

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        x0, y0 = ctx.reference
        return None, None, None, None, ctx.rule.vjp(grads[0], ctx.call, ctx.recorded, x0.get(), y0)


class Rounding(Enum):
    """How the outputs of an operation are rounded.

    Not at all, as those of relu; to their own digits; or to the digits of the input, as those of x * Phi(x), because
    Phi(x) = (1 + erf(x / sqrt(2))) / 2 loses digits where x is far below 0.
    """

    NONE = 0
    OUTPUT = 1
    INPUT = 2


def smallest_exponent_step(dtype: torch.dtype) -> float:
    """Return the smallest difference of exponents for which the secant is used; below it the tangent is.

    Implementations of DeepLIFT use 1e-6 for float32, and float64 resolves 1e-10.
    """
    return 1e-10 if dtype == torch.float64 else 1e-6


@cache
def smallest_step(dtype: torch.dtype) -> float:
    """Return the smallest difference of any other inputs that is not taken for 0.

    It is no fixed number such as 1e-6: in some models that is all the difference there is.
    """
    return torch.finfo(dtype).tiny


@cache
def rounding_error(dtype: torch.dtype, rounding: Rounding) -> float:
    """Return the rounding error of an output, relative to its size."""
    return 0.0 if rounding is Rounding.NONE else 4 * torch.finfo(dtype).eps


def secant(
    x1: Tensor,
    y1: Tensor,
    slope1: Tensor,
    x0: Tensor,
    y0: Tensor,
    *,
    infinite: bool = False,
    rounding: Rounding = Rounding.OUTPUT,
) -> Tensor:
    """Return dy / dx, and the slope at the input where dx is 0, or where rounding hides the difference between the two.

    A model may round the same activation differently in another batch. So where nothing differs, dx may be some units
    in the last place, and dy / dx mere noise. The slope, or tangent, takes its place wherever it explains dy up to
    rounding: that keeps sums complete, whatever the function, its kinks and its scale, and is never further off than
    the secant.

    Parameters
    ----------
    x1, y1, slope1 : torch.Tensor
        Input, output and slope of the operation for the sequences.
    x0, y0 : torch.Tensor
        Input and output for the references.
    infinite : bool
        Whether outputs may be infinite: two equal infinities do not differ.
    rounding : Rounding
        How the outputs are rounded.

    Returns
    -------
    torch.Tensor, shape of `x0`

    References
    ----------
    Shrikumar, Greenside and Kundaje (2017), Learning Important Features Through Propagating Activation
    Differences, equation 10: the rescale rule.
    """
    smallest, error = smallest_step(x0.dtype), rounding_error(x0.dtype, rounding)
    by_input = rounding is Rounding.INPUT
    kernel = None if infinite else kernel_for("elementwise.secant", x0.device.type, x0.dtype)
    found: Tensor | None = kernel(x1, y1, slope1, x0, y0, smallest, error, by_input=by_input) if kernel else None
    if found is not None:
        return found
    noise = ((x1 if by_input else y1).abs() + (slope1 * x1).abs()) * error if error else None
    if not are_many(x1, x0):
        return secant_or_slope(x1, y1, slope1, x0, y0, noise, smallest, infinite)
    found, at_once = torch.empty_like(y0), max(1, PIECE // x1.numel()) * len(x1)
    for some, x, y in zip(*(torch.split(one, at_once) for one in (found, x0, y0)), strict=True):
        secant_or_slope(x1, y1, slope1, x, y, noise, smallest, infinite, some)
    return found


@dataclass(frozen=True)
class Rescale:
    """An elementwise operation of one operand that depends on the input.

    Parameters
    ----------
    slope : callable, optional
        The slope as a function of input and output; None to let autograd find it.
    infinite : bool
        Whether outputs may be infinite, as those of a mask are.
    fused_vjp : str, optional
        The step in ``kernels/table.py`` that multiplies the gradient by the secant in the backward pass, from the
        inputs of sequences and references alone. So nothing else has to be kept.
    rounding : Rounding
        How outputs are rounded.
    closed : callable, optional
        The secant as a function of the inputs of sequences and references, which broadcast, where that takes fewer
        passes over memory than :func:`secant` does.
    closed_vjp : callable, optional
        The gradient at the inputs of references, from that at their outputs, the inputs of sequences and their own:
        the product with `closed`, for large tensors of which the first dimension holds the rows.
    """

    slope: Function | None = None
    infinite: bool = False
    fused_vjp: str | None = None
    rounding: Rounding = Rounding.OUTPUT
    closed: Function | None = None
    closed_vjp: Function | None = None

    @property
    def backward(self) -> type[torch.autograd.Function]:
        """The autograd function of most calls; with a kernel it is RescaleFunction."""
        return ScaleFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep input, output and slope; the input alone where a kernel or a closed form needs no more."""
        (x,) = real_operand(call)
        if self.closed is not None or self.vjp_of_inputs(call, x) is not None:
            return ObserveFunction.apply(call, x), [Snapshot.take(x, copy)]
        kept: list[Snapshot] = []

        def compute(x: Tensor) -> Tensor:
            y, slope = self._output_and_slope(call, x)
            kept.extend((Snapshot.take(x, copy), Snapshot.take(y, copy), Snapshot.take(slope, False)))
            return y

        return ObserveFunction.apply(compute, x), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the secant between reference and input."""
        x1, *more = (one.get() for one in kept)
        (x,) = real_operand(call)
        fused = kernel_for("elementwise.rescale_vjp", x.device.type, x.dtype) if more else self.vjp_of_inputs(call, x)
        # A copy of the output takes as much memory and time as a multiplier.
        if fused is not None and not (copy and more) and are_packed(x, x1, *more):
            return RescaleFunction.apply(self, call, (x1, *more), copy, x)
        if self.closed_vjp is not None and not copy and are_long(x1, x):
            return RescaleFunction.apply(self, call.without_tensors(), (x1,), copy, x)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor]:
            y0 = call(x0)
            if self.closed is not None:
                return y0, self.closed(*align_partners(x1, x0)).reshape(x0.shape)
            y1, slope1 = more or self._output_and_slope(call, x1)
            return y0, self._secant(x1, y1, slope1, x0, y0)

        return ScaleFunction.apply(compute, x)

    def vjp_of_inputs(self, call: Call, x: Tensor) -> Function | None:
        """Return the kernel from `grad`, `x1` and `x0` to the gradient at `x0`, if one serves tensors like `x`."""
        kernel = None if self.fused_vjp is None else kernel_for(self.fused_vjp, x.device.type, x.dtype)
        return None if kernel is None else partial(kernel, threshold=smallest_step(x.dtype))

    def vjp(
        self, grad: Tensor, call: Call, recorded: tuple[Tensor, ...], x0: Tensor, output: Snapshot | None
    ) -> Tensor:
        """Return the gradient at the input of the references.

        Parameters
        ----------
        grad : torch.Tensor
            That at their output.
        call : Call
        recorded : tuple of torch.Tensor
            Input, output and slope of the sequences, or the input alone.
        x0 : torch.Tensor
            The input of the references.
        output : Snapshot, optional
            Their output; it is computed again if it was written to since.
        """
        x1, *more = recorded
        kernel = None if more else self.vjp_of_inputs(call, x0)
        found: Tensor | None = kernel(grad, x1, x0) if kernel else None
        if found is not None:
            return found
        if self.closed_vjp is not None and not more and are_long(x1, x0):
            return self.closed_vjp(grad, x1, x0)  # type: ignore[no-any-return]
        y1, slope1 = more or self._output_and_slope(call, x1)
        y0 = call(x0) if output is None or output.is_overwritten else output.tensor
        kernel = kernel_for("elementwise.rescale_vjp", x0.device.type, x0.dtype)
        if kernel is not None:
            step, error = smallest_step(x0.dtype), rounding_error(x0.dtype, self.rounding)
            kinds = {"by_input": self.rounding is Rounding.INPUT, "infinite": self.infinite}
            found = kernel(grad, (x1, y1, slope1), (x0, y0), step, error, **kinds)
        return grad * self._secant(x1, y1, slope1, x0, y0) if found is None else found

    def _secant(self, *of: Tensor) -> Tensor:
        return secant(*of, infinite=self.infinite, rounding=self.rounding)

    def _output_and_slope(self, call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.slope is None:
            return _differentiate(call, x)
        y = call(x)
        return y, self.slope(x, y)


def real_operand(call: Call) -> tuple[Tensor, ...]:
    """Return the tensor of a call that depends on the input; raise UnsupportedOperation if it is complex."""
    (x,) = call.tensors
    if x.is_complex():
        raise UnsupportedOperation(f"{call.name} of a complex tensor has no rule: write it in .real and .imag.")
    return (x,)


def _differentiate(call: Call, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return output and slope, as autograd finds it."""
    # In the first pass autograd keeps nothing; here it has to, for a moment.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(_identity, _identity):
        x = x.detach().requires_grad_()
        y: Tensor = call(x)
        if not y.requires_grad:  # a constant, such as clamp(x, 1, 1)
            return y, torch.zeros_like(x)
        # Of the sum, because with a gradient at y autograd loads sympy, which takes longer than most first calls.
        (slope,) = torch.autograd.grad(y.sum(), x)
    # The gradient of a sum is one number, expanded, which some functions return as it is. An infinite slope, such as
    # that of a root at 0, counts as 0, or else a following 0 would make it NaN.
    return y.detach(), slope.contiguous().nan_to_num(0, 0, 0)


def _identity(tensor: Tensor) -> Tensor:
    return tensor
