"""A gradient times the multiplier of softmax as a single node of autograd's graph, with its derivatives in closed form.

The multiplier consists of weights ``w = (A * p1 - B * p0) / dx`` and a secant ``s = (p1 - p0) / (dx - d)``, where ``d``
is the difference of logsumexps, and A and B are functions of it (``softmax.py``). Left to autograd it is a chain of a
hundred passes over memory. Where derivatives are themselves differentiated, the chain is taken after all.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function, RuleFunction
from seqlight.attribution.kernels.memory_layout import suits
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.difference_quotients import put_at
from seqlight.attribution.rules.elementwise import Rounding, rounding_error, smallest_exponent_step
from seqlight.attribution.rules.logarithmic_mean import nearness
from seqlight.attribution.rules.multiplier_functions import differentiate_formula
from seqlight.attribution.rules.softmax import softmax_multipliers, softmax_vjp
from seqlight.attribution.rules.softmax_secants import logsumexp_from

# Below, the derivatives of A and B are found by their power series.
SERIES = 0.2


class SoftmaxMultiplierFunction(RuleFunction):
    """A gradient times the multiplier of softmax over a dimension.

    Parameters of :meth:`forward`: the dimension, not negative; the gradient, inputs and outputs, which are no more than
    functions of the inputs.
    """

    @staticmethod
    def forward(ctx: Any, dim: int, grad: Tensor, x1: Tensor, x0: Tensor, p1: Tensor, p0: Tensor) -> Tensor:
        """Return the gradient at the inputs `x0`."""
        ctx.dim, ctx.by_rows = dim, _suits_rows(dim, grad, x1, x0, p1, p0)
        if ctx.by_rows:
            ctx.save_for_backward(grad, x1, x0, p1, p0)
            return softmax_vjp(grad, *softmax_multipliers((x1, p1), (x0, p0), dim), dim)
        d = (logsumexp_from(x1, p1, dim) - logsumexp_from(x0, p0, dim)).to(x0.dtype)
        above, below = exponential_secants(d)
        dx, tangent = x1 - x0, above * p1
        weights = _Ratio.of(torch.addcmul(tangent, below, p0, value=-1), dx, tangent)
        secants = _Ratio.of(p1 - p0, dx.sub_(d), p1)
        ctx.at = weights.at, secants.at
        ctx.save_for_backward(grad, x1, x0, p1, p0, d, weights.value, weights.rate, secants.value, secants.rate)
        found = grad * secants.value
        return found.addcmul_(weights.value, found.sum(dim, keepdim=True), value=-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the gradient and at both inputs."""
        (g,), dim, (grad, x1, x0, p1, p0, *made) = grads, ctx.dim, ctx.saved_tensors
        if torch.is_grad_enabled():
            found = differentiate_formula(partial(softmax_formula, dim), (grad, x1, x0), g, ctx.needs_input_grad[1:4])
            return None, *found, None, None
        if ctx.by_rows:
            kernel, limits = _kernel_for(grad), (smallest_exponent_step(grad.dtype), nearness(grad.dtype))
            assert kernel is not None
            return None, *kernel(g, grad, (x1, p1), (x0, p0), *limits), None, None
        (d, weights, weights_rate, secants, secants_rate), (weights_at, secants_at) = made, ctx.at
        rise = g - _sum(g * weights, dim)
        by_grad = rise * secants
        # By p1 and p0 as they are in the secants, and in the weights: where a tangent stands in, p0 is in neither.
        s1 = rise.mul_(grad).mul_(secants_rate)
        s0 = _without(s1, secants_at)
        w1 = (g * weights_rate).mul_(-_sum(grad * secants, dim))
        w0 = _without(w1, weights_at)
        above, below = exponential_secants(d)
        slope = _slope_above(d)
        by_step = s0 * secants
        by_d = _sum(by_step, dim) + _sum(w1 * p1, dim) * slope - _sum(w0 * p0, dim) * (slope - 1)
        by_step.addcmul_(w0, weights)
        by_1 = torch.addcmul(s1, w1, above).mul_(p1)
        by_1.addcmul_(p1, by_d - _sum(by_1, dim)).sub_(by_step)
        by_0 = torch.addcmul(s0, w0, below).mul_(p0)
        by_0 = by_step.addcmul_(p0, _sum(by_0, dim) - by_d).sub_(by_0)
        return None, by_grad, by_1, by_0, None, None


def _kernel_for(x: Tensor) -> Function | None:
    return kernel_for("softmax.softmax_derivatives", x.device.type, x.dtype)


def _suits_rows(dim: int, *tensors: Tensor) -> bool:
    """Return whether the kernel takes these, which it wants finite, and in rows."""
    grad, *packed = tensors
    if dim != grad.ndim - 1 or not grad.numel() or _kernel_for(grad) is None or not suits(*packed):
        return False
    return bool((packed[0].sum() + packed[1].sum()).isfinite())


class _Ratio(NamedTuple):
    """Quotients, or tangents where a quotient has no digits; ``1 / dx``, with 1 for a tangent; the tangents' places."""

    value: Tensor
    rate: Tensor
    at: Tensor

    @classmethod
    def of(cls, dy: Tensor, dx: Tensor, tangent: Tensor) -> _Ratio:
        noise = 4 * rounding_error(dx.dtype, Rounding.OUTPUT)
        chosen, size = torch.addcmul(dy, tangent, dx, value=-1).abs_().sub_(tangent, alpha=noise), dx.abs()
        is_finite = bool(size.sum().isfinite())
        # As numbers, in place: a CPU takes several times as long for masks.
        chosen.gt_(0).mul_(size.gt_(smallest_exponent_step(dx.dtype)))
        if not is_finite:
            chosen.mul_(dx.isfinite())
        at, rate = _zeros_of(chosen), dx.reciprocal()
        value = dy.mul_(rate)
        if len(at):
            put_at(rate, at, rate.new_ones(len(at)))
            put_at(value, at, tangent.take(at))
        return cls(value, rate, at)


def _zeros_of(x: Tensor) -> Tensor:
    """Return the places of zeros, mostly none; `x` is not negative."""
    none = x.new_empty(0, dtype=torch.long)
    return (x == 0).flatten().nonzero().squeeze(1) if x.numel() and not bool(x.amin()) else none


def _without(x: Tensor, at: Tensor) -> Tensor:
    return put_at(x.clone(), at, x.new_zeros(len(at))) if len(at) else x


def _sum(x: Tensor, dim: int) -> Tensor:
    return x.sum(dim, keepdim=True)


def exponential_secants(d: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``d / (1 - exp(-d))`` and ``d / (exp(d) - 1)``, in the graph."""
    with torch.no_grad():
        small = d.abs() < smallest_exponent_step(d.dtype)
    safe = torch.where(small, 1, d)
    above = torch.where(small, 1 + d / 2, safe / -torch.expm1(-safe))
    return above, torch.where(small, 1 - d / 2, safe / torch.expm1(safe))


def _slope_above(d: Tensor) -> Tensor:
    """Return the derivative of ``d / (1 - exp(-d))``, which is that of ``d / (exp(d) - 1)``, plus 1."""
    near = d.abs() < SERIES
    square, safe = d * d, torch.where(near, 1, d)
    fall = torch.expm1(-safe)
    closed = (-fall - safe * (1 + fall)) / (fall * fall)
    return torch.where(near, 0.5 + d * (1 / 6 - square * (1 / 180 - square / 5040)), closed)


def softmax_formula(dim: int, grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
    """Return the same in formulas that autograd can differentiate, again and again."""
    weights, secants = softmax_ratios(x1, x0, dim)
    found = grad * secants
    return found - weights * _sum(found, dim)


def softmax_ratios(x1: Tensor, x0: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the weights of logsumexp and the secant of softmax, in the graph."""
    p1, p0 = x1.softmax(dim), x0.softmax(dim)
    d = torch.logsumexp(x1, dim, keepdim=True) - torch.logsumexp(x0, dim, keepdim=True)
    above, below = exponential_secants(d)
    dx, tangent = x1 - x0, above * p1
    return _ratio(tangent - below * p0, dx, tangent), _ratio(p1 - p0, dx - d, p1)


def _ratio(dy: Tensor, dx: Tensor, tangent: Tensor) -> Tensor:
    """Return dy / dx; the tangent where that explains dy up to rounding, or where nothing changes or all is masked."""
    with torch.no_grad():
        noise = 4 * rounding_error(dx.dtype, Rounding.OUTPUT)
        chosen = (dx.abs() > smallest_exponent_step(dx.dtype)) & dx.isfinite()
        chosen &= (dy - tangent * dx).abs() > tangent * noise
    return torch.where(chosen, torch.where(chosen, dy, 0) / torch.where(chosen, dx, 1), tangent)
