"""A gradient times the multiplier of softmax as a single node of autograd's graph, with its derivatives in closed form.

The multiplier consists of weights and a secant, both logarithmic means (``softmax_secants.py``). The derivative of such
a mean with respect to log(a), for ``s = log(a / b)``, is ``(a * (s - 1) + b) / s^2``, and its series in s near 0. So
where nothing changes, sequence and reference each get half of the derivative of the slope. Where derivatives are
themselves differentiated, formulas that autograd knows are taken.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function, RuleFunction
from seqlight.attribution.kernels.memory_layout import suits
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.logarithmic_mean import logarithmic_mean_formula, mean_by_logarithms, nearness
from seqlight.attribution.rules.multiplier_functions import differentiate_formula
from seqlight.attribution.rules.softmax import softmax_multipliers, softmax_vjp
from seqlight.attribution.rules.softmax_secants import LogsumexpRise, exponential_secants, softmax_secants

# Below, the derivative of the difference of logsumexps over one less its exponential is found by its power series.
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
        rise = LogsumexpRise.between((x1, p1), (x0, p0), dim)
        weights, secants, _ = softmax_secants((x1, p1), (x0, p0), rise, dim, hidden=True)
        ctx.save_for_backward(grad, x1, x0, p1, p0, *rise, weights, secants)
        return softmax_vjp(grad, weights, secants, dim)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the gradient and at both inputs."""
        (g,), dim, (grad, x1, x0, p1, p0, *made) = grads, ctx.dim, ctx.saved_tensors
        if torch.is_grad_enabled():
            found = differentiate_formula(partial(softmax_formula, dim), (grad, x1, x0), g, ctx.needs_input_grad[1:4])
            return None, *found, None, None
        if ctx.by_rows:
            kernel = _kernel_for(grad)
            assert kernel is not None
            return None, *kernel(g, grad, (x1, p1), (x0, p0), nearness(grad.dtype)), None, None
        d, above, below, weights, secants = made
        up, step = g - _sum(g * weights, dim), x1 - x0
        by_secants, by_weights = up * grad, g * -_sum(grad * secants, dim)
        # At the logarithms of p1 and p0, as they are in the secants and, with their factors, in the weights.
        s1, s0 = (by_secants * one for one in mean_by_logarithms(p1, p0, step - d, secants))
        w1, w0 = (by_weights * one for one in mean_by_logarithms(above * p1, below * p0, step, weights))
        rise, fall = _sum(w1, dim), _sum(w0, dim)
        by_d = (rise + fall) * _slope_above(d) / above - fall
        by_1 = (s1 + w1).addcmul_(p1, by_d - _sum(s1, dim) - rise)
        by_0 = (s0 + w0).addcmul_(p0, -by_d - _sum(s0, dim) - fall)
        return None, up * secants, by_1, by_0, None, None


def _kernel_for(x: Tensor) -> Function | None:
    return kernel_for("softmax.softmax_derivatives", x.device.type, x.dtype)


def _suits_rows(dim: int, *tensors: Tensor) -> bool:
    """Return whether the kernel takes these, which it wants finite, and in rows."""
    grad, *packed = tensors
    if dim != grad.ndim - 1 or not grad.numel() or _kernel_for(grad) is None or not suits(*packed):
        return False
    return bool((packed[0].sum() + packed[1].sum()).isfinite())


def _sum(x: Tensor, dim: int) -> Tensor:
    return x.sum(dim, keepdim=True)


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
    dx = x1 - x0
    return logarithmic_mean_formula(above * p1, below * p0, dx), logarithmic_mean_formula(p1, p0, dx - d)
