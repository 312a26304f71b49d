"""The rule for elementwise operations: the multiplier is the secant.

It is computed in the forward pass, so that one tensor is kept, as in plain autograd.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, Observed, RuleFunction
from seqlight.attribution.calls.pairs import split
from seqlight.attribution.calls.record import Recorded
from seqlight.attribution.kernels.memory_layout import suits
from seqlight.attribution.kernels.table import kernel_for
from seqlight.errors import UnsupportedOperation


class Scaled(RuleFunction):
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
        return None, grads[0] * multiplier


class Rescaled(RuleFunction):
    """An elementwise operation whose secant is made and used on the way back: no multiplier has to be kept."""

    @staticmethod
    def forward(ctx: Any, rule: Rescale, call: Call, x1: Tensor, x0: Tensor) -> Any:
        """Return the output, and keep the inputs of sequences and references."""
        ctx.rule, ctx.call, ctx.x1, ctx.x0 = rule, call, x1, Recorded.of(x0, False)
        return call(x0.detach())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        return None, None, None, ctx.rule.pull(grads[0], ctx.call, ctx.x1, ctx.x0.get())


class Rounding(Enum):
    """What the outputs of an operation are rounded by.

    Not at all, as those of relu; to their own digits; or to the digits of their input, as those of x * Phi(x), whose
    Phi(x) = (1 + erf(x / sqrt(2))) / 2 loses its own where x is far below 0.
    """

    NONE = 0
    OUTPUT = 1
    INPUT = 2


def threshold(dtype: torch.dtype) -> float:
    """Return the difference of exponents below which the tangent stands in for the secant, with fewer digits.

    1e-6 is what DeepLIFT implementations use for float32, and float64 resolves 1e-10.
    """
    return 1e-10 if dtype == torch.float64 else 1e-6


def least(dtype: torch.dtype) -> float:
    """Return the difference of other inputs below which there is none.

    Not a fixed one: what one model squares another divides by, and 1e-6 may be all that there is.
    """
    return torch.finfo(dtype).tiny


def allowance(dtype: torch.dtype, rounding: Rounding) -> float:
    """Return which share of its size an output may be off by, so that rounding alone explains it."""
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
    """Return dy / dx, and the slope at the input where dx vanishes, or where rounding hides what is between the two.

    A model may round an activation by what stands beside it in a batch. So where nothing differs dx may be some units
    in the last place, and dy / dx no more than noise. The tangent stands in wherever it explains dy up to rounding:
    that keeps sums complete, whatever the function, its kinks and its scale, and is at worst as far off as the secant.

    Parameters
    ----------
    x1, y1, slope1 : torch.Tensor
        Input, output and derivative of the operation on the sequences.
    x0, y0 : torch.Tensor
        Input and output on the references.
    infinite : bool
        Whether outputs may be infinite: where both are, they do not differ.
    rounding : Rounding
        What the outputs are rounded by.

    Returns
    -------
    torch.Tensor, shape of `x0`

    References
    ----------
    Shrikumar, Greenside and Kundaje (2017), Learning Important Features Through Propagating Activation
    Differences, equation 10: the rescale rule.
    """
    near, allowed = least(x0.dtype), allowance(x0.dtype, rounding)
    by_input = rounding is Rounding.INPUT
    kernel = None if infinite else kernel_for("elementwise.secant", x0.device.type, x0.dtype)
    found: Tensor | None = kernel(x1, y1, slope1, x0, y0, near, allowed, by_input=by_input) if kernel else None
    if found is not None:
        return found
    shape = y0.shape
    x1, x0 = split(x1, x0)
    y1, y0 = split(y1, y0)
    slope1 = slope1.view(x1.shape) if slope1.shape != x1.shape else slope1
    dx, dy = x1 - x0, y1 - y0
    if infinite:
        dy.masked_fill_(y1 == y0, 0)
    # Asked this way round, a difference of two infinities, which is no number, counts as none.
    far = dx.abs() >= near
    if allowed:
        noise = ((x1 if by_input else y1).abs() + (slope1 * x1).abs()) * allowed
        # And here a slope without end explains nothing.
        far &= ~((dy - slope1 * dx).abs_() < noise)
    return torch.where(far, dy.div_(dx), slope1).view(shape)


@dataclass(frozen=True)
class Rescale:
    """Elementwise operations: the multiplier is the secant.

    Parameters
    ----------
    slope : callable, optional
        The derivative as a function of input and output; None to let autograd find it.
    infinite : bool
        Whether outputs may be infinite, as those of a mask are.
    late : str, optional
        The step in ``kernels/table.py`` that takes the gradient at the output, inputs of sequences and references, and
        the threshold, and returns the gradient at the input, or None where it cannot. So no multiplier has to be kept,
        and of sequences their input alone. It needs a `slope`.
    rounding : Rounding
        What outputs are rounded by.
    """

    slope: Function | None = None
    infinite: bool = False
    late: str | None = None
    rounding: Rounding = Rounding.OUTPUT

    @property
    def backward(self) -> type[torch.autograd.Function]:
        """The autograd function of most calls; of the others it is Scaled."""
        return Scaled if self.late is None else Rescaled

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep input, output and slope; the input alone, where the rest is made late."""
        (x,) = one_real(call)
        if self.late is not None:
            return Observed.apply(call, x), [Recorded.of(x, copy)]
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y, slope = _value_and_slope(call, x) if self.slope is None else _with_slope(call, x, self.slope)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy), Recorded.of(slope, False)))
            return y

        return Observed.apply(compute, x), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply with the secant between reference and input."""
        x1, *more = (one.get() for one in kept)
        (x,) = one_real(call)
        if self.late is not None and not copy and suits(x1, x):
            return Rescaled.apply(self, call, x1, x)
        y1, slope1 = more or self._output_and_slope(call, x1)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor]:
            y0 = call(x0)
            return y0, self._secant(x1, y1, slope1, x0, y0)

        return Scaled.apply(compute, x)

    def _secant(self, *of: Tensor) -> Tensor:
        return secant(*of, infinite=self.infinite, rounding=self.rounding)

    def pull(self, grad: Tensor, call: Call, x1: Tensor, x0: Tensor) -> Tensor:
        """Return the gradient at the input for that at the output."""
        assert self.late is not None
        kernel = kernel_for(self.late, x0.device.type, x0.dtype)
        found: Tensor | None = kernel(grad, x1, x0, least(x0.dtype)) if kernel else None
        return grad * self._secant(x1, *self._output_and_slope(call, x1), x0, call(x0)) if found is None else found

    def _output_and_slope(self, call: Call, x1: Tensor) -> tuple[Tensor, Tensor]:
        assert self.slope is not None
        return _with_slope(call, x1, self.slope)


def one_real(call: Call) -> tuple[Tensor, ...]:
    """Return the one tensor of a call that depends on the input; UnsupportedOperation if it is complex."""
    (x,) = call.tensors
    if x.is_complex():
        raise UnsupportedOperation(f"{call.name} of a complex tensor has no rule: write it in .real and .imag")
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
        # Of the sum: told a gradient at y, autograd loads sympy, which takes longer than most first calls.
        (slope,) = torch.autograd.grad(y.sum(), x)
    # The gradient of a sum is one number, expanded, and some functions hand it on as it is. A slope without end, as
    # that of a root at 0, counts as none: times the 0 of what follows it would be no number.
    return y.detach(), slope.contiguous().nan_to_num(0, 0, 0)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor
