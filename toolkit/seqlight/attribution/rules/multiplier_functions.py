"""Gradients times multipliers as single nodes of autograd's graph, with their derivatives in closed form.

A secant ``m = (f(x1) - f(x0)) / (x1 - x0)`` has the derivatives ``(f'(x1) - m) / dx`` and ``(m - f'(x0)) / dx``. Left
to autograd it is a chain of a dozen nodes, each of which keeps tensors and passes over memory once more. Where
derivatives are themselves differentiated, the chain is taken after all: it is the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function, RuleFunction
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.difference_quotients import put_at
from seqlight.attribution.rules.elementwise import smallest_step
from seqlight.attribution.rules.mean_jacobian import gauss_legendre
from seqlight.attribution.rules.special_functions import relu_secant


def differentiate_formula(
    formula: Function, operands: Sequence[Tensor], grad: Tensor | Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    """Return the gradients of ``formula(*operands)`` at those operands that need one, in the graph."""
    with torch.enable_grad():
        # Operands may depend on each other, as a gradient does on inputs: views of their own have partial derivatives.
        operands = [one.view_as(one) if is_needed else one for one, is_needed in zip(operands, needed, strict=True)]
        leaves = [one for one, is_needed in zip(operands, needed, strict=True) if is_needed]
        y = formula(*operands)
        found = iter(torch.autograd.grad(y, leaves, grad, create_graph=True, allow_unused=True))
    return [next(found) if is_needed else None for is_needed in needed]


class ReluFunction(RuleFunction):
    """A gradient times the secant of relu."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
        """Return ``grad * relu_secant(x1, x0)``."""
        ctx.save_for_backward(grad, x1, x0)
        return _times_relu_secant(grad, x1, x0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at all three."""
        (g,) = grads
        grad, x1, x0 = ctx.saved_tensors
        if torch.is_grad_enabled():
            return tuple(differentiate_formula(_relu_formula, (grad, x1, x0), g, ctx.needs_input_grad))
        kernel = kernel_for("elementwise.relu_derivatives", x0.device.type, x0.dtype)
        found = kernel(g, grad, x1, x0) if kernel else None
        if found is not None:
            return found
        return _times_relu_secant(g, x1, x0), *relu_derivatives(x1, x0, g * grad)


def relu_derivatives(x1: Tensor, x0: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients at both inputs of a secant of relu; `along`, that at the secant, is overwritten."""
    # Where both inputs lie on one side of 0, slopes and multiplier are the same number, and their difference is 0.
    room = x1 - x0
    rate = along.div_(room).nan_to_num_(0, 0, 0)
    along = _times_relu_secant(rate, x1, x0)
    by_0 = torch.ops.aten.threshold_backward.grad_input(rate, x0, 0, grad_input=room).neg_().add_(along)
    by_1 = torch.ops.aten.threshold_backward.grad_input(rate, x1, 0, grad_input=rate).sub_(along)
    return by_1, by_0


def _times_relu_secant(grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
    kernel = kernel_for("elementwise.relu_vjp", x0.device.type, x0.dtype)
    found: Tensor | None = kernel(grad, x1, x0, smallest_step(x0.dtype)) if kernel else None
    return grad * relu_secant(x1, x0) if found is None else found


def _relu_formula(grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
    on = x1 > 0
    turned = on ^ (x0 > 0)
    secant = (x1.relu() - x0.relu()) / torch.where(turned, x1 - x0, 1)
    return grad * torch.where(turned, secant, on.to(x0.dtype))


def least_secant_step(dtype: torch.dtype) -> float:
    """Return the step below which two points give a mean slope, and its derivative, with more digits than a secant."""
    return 1e-3 if dtype == torch.float64 else 2e-2


class SmoothFunction(RuleFunction):
    """A gradient times the secant of a smooth function, or its mean slope at two points where the input hardly moves.

    Parameters of :meth:`forward`: the function and its slope, both of one tensor; the step from which on a secant has
    digits enough; the gradient, inputs and outputs.
    """

    @staticmethod
    def forward(
        ctx: Any, function: Function, slope: Function, near: float, grad: Tensor, x1: Tensor, x0: Tensor, *ys: Tensor
    ) -> Tensor:
        """Return `grad` times the multiplier."""
        multiplier, at = smooth_secants(slope, near, x1, x0, *ys)
        ctx.function, ctx.slope, ctx.near, ctx.at = function, slope, near, at
        ctx.save_for_backward(grad, x1, x0, multiplier)
        return grad * multiplier

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the gradient and at both inputs; outputs are functions of these."""
        (g,), at = grads, ctx.at
        grad, x1, x0, multiplier = ctx.saved_tensors
        if torch.is_grad_enabled():

            def formula(*of: Tensor) -> Tensor:
                return smooth_formula(ctx.function, ctx.slope, ctx.near, *of)

            found = differentiate_formula(formula, (grad, x1, x0), g, ctx.needs_input_grad[3:6])
            return None, None, None, *found, None, None
        by_1, by_0 = secant_derivatives(ctx.slope, x1, x0, multiplier, at, g * grad)
        return None, None, None, g * multiplier, by_1, by_0, None, None


def smooth_secants(
    slope: Function, near: float, x1: Tensor, x0: Tensor, y1: Tensor, y0: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the multiplier of a smooth function, and the places where it is a mean slope, mostly few."""
    dx = x1 - x0
    multiplier = (y1 - y0).div_(dx)
    few = ~(dx.abs() >= near)
    if not bool((multiplier.sum() + dx.sum()).isfinite()):
        few |= ~(dx.isfinite() & (y1 - y0).isfinite())
    at = few.flatten().nonzero().squeeze(1)
    if len(at):
        points = _points_between(x1.take(at), x0.take(at))
        put_at(multiplier, at, sum(slope(one) * weight for one, _, weight in points))
    return multiplier, at


def secant_derivatives(
    slope: Function, x1: Tensor, x0: Tensor, multiplier: Tensor, at: Tensor, along: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients at both inputs of :func:`smooth_secants`, from `along`, the gradient at the multiplier."""
    rate = along / (x1 - x0)
    by_1, by_0 = ((one - multiplier).mul_(rate) for one in (slope(x1), slope(x0)))
    by_0.neg_()
    if len(at):
        some, bends = along.take(at), _points_between(x1.take(at), x0.take(at))
        curved = [(_derivative(slope, point) * weight, share) for point, share, weight in bends]
        put_at(by_1, at, some * sum(one * share for one, share in curved))
        put_at(by_0, at, some * sum(one * (1 - share) for one, share in curved))
    return by_1, by_0


def _points_between(x1: Tensor, x0: Tensor) -> list[tuple[Tensor, float, float]]:
    """Return two points on the line from `x0` to `x1`, how far each is along it, and their weights.

    Where that has no finite length, as between two scores that are masked by infinity, both are `x1`.
    """
    finite = (x1 - x0).isfinite()
    return [(torch.where(finite, torch.lerp(x0, x1, at), x1), at, weight) for at, weight in gauss_legendre(2)]


def _derivative(slope: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the derivative of a slope."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = slope(x)
        return torch.autograd.grad(y.sum(), x)[0] if y.requires_grad else torch.zeros_like(x)


def smooth_formula(function: Function, slope: Function, near: float, grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
    """Return `grad` times the multiplier of a smooth function, in the graph."""
    dx, dy = x1 - x0, function(x1) - function(x0)
    with torch.no_grad():
        chosen = (dx.abs() >= near) & dy.isfinite() & dx.isfinite()
    tangent = sum(slope(point) * weight for point, _, weight in _points_between(x1, x0))
    return grad * torch.where(chosen, torch.where(chosen, dy, 0) / torch.where(chosen, dx, 1), tangent)


class MaximumFunction(RuleFunction):
    """Gradients at maxima times their multipliers, added up at the positions that get the credit.

    Parameters of :meth:`forward`: the positions, in the last dimension; the multipliers there, if they are known; the
    gradient, inputs and maxima.
    """

    @staticmethod
    def forward(
        ctx: Any, at: Tensor, known: Tensor | None, grad: Tensor, x1: Tensor, x0: Tensor, y1: Tensor, y0: Tensor
    ) -> Tensor:
        """Return the gradient at the inputs `x0`."""
        multiplier = _maximum_multiplier(at, x1, x0, y1, y0) if known is None else known
        ctx.save_for_backward(at, grad, x1, x0, y1, y0, multiplier)
        return torch.zeros_like(x0).scatter_add_(-1, at, grad * multiplier)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at all but the positions and the multipliers."""
        at, grad, x1, x0, y1, y0, multiplier = ctx.saved_tensors
        if torch.is_grad_enabled():

            def formula(*of: Tensor) -> Tensor:
                return _maximum_formula(at, *of)

            needed = ctx.needs_input_grad[2:]
            return None, None, *differentiate_formula(formula, (grad, x1, x0, y1, y0), grads[0], needed)
        kernel = kernel_for("pooling.max_pool_derivatives", x0.device.type, x0.dtype)
        found = kernel(grads[0], grad, multiplier, at, x1, x0) if kernel else None
        if found is not None:
            return None, None, *found
        g, dx = grads[0].gather(-1, at), x1.gather(-1, at).sub_(x0.gather(-1, at))
        # The multiplier of what does not change is 1, whose derivative is 0.
        by_rise = (g * grad).div_(dx).nan_to_num_(0, 0, 0)
        by_step = torch.zeros_like(x0).scatter_add_(-1, at, by_rise * multiplier)
        return None, None, g.mul_(multiplier), by_step.neg(), by_step, by_rise, by_rise.neg()


def _maximum_multiplier(at: Tensor, x1: Tensor, x0: Tensor, y1: Tensor, y0: Tensor) -> Tensor:
    dx, dy = x1.gather(-1, at) - x0.gather(-1, at), y1 - y0
    with torch.no_grad():
        still = ~((dx.abs() >= smallest_step(dx.dtype)) & dx.isfinite() & dy.isfinite())
    # Equal maxima at a position that does not change: the plain gradient, 1.
    return torch.where(still, 1, torch.where(still, 0, dy) / torch.where(still, 1, dx))


def _maximum_formula(at: Tensor, grad: Tensor, x1: Tensor, x0: Tensor, y1: Tensor, y0: Tensor) -> Tensor:
    return torch.zeros_like(x0).scatter_add(-1, at, grad * _maximum_multiplier(at, x1, x0, y1, y0))


class MatrixProductFunction(RuleFunction):
    """The gradients at both factors of products of matrices, half way from references to sequences.

    Parameters of :meth:`forward`: the gradient at the products, and the factors, each of shape (products, ., .).
    """

    @staticmethod
    def forward(ctx: Any, grad: Tensor, a1: Tensor, b1: Tensor, a0: Tensor, b0: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients at `a0` and `b0`."""
        a, b = torch.lerp(a0, a1, 0.5), torch.lerp(b0, b1, 0.5)
        ctx.save_for_backward(grad, a1, b1, a0, b0, a, b)
        return torch.bmm(grad, b.mT), torch.bmm(a.mT, grad)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at all five."""
        (*of, a, b), (at_a, at_b) = ctx.saved_tensors, grads
        if torch.is_grad_enabled():
            return tuple(differentiate_formula(_matrix_product_formula, of, grads, ctx.needs_input_grad))
        grad = of[0]
        by_grad = torch.bmm(at_a, b).baddbmm_(a, at_b)
        # The same for both, of which the factor half way is the mean.
        by_a, by_b = (torch.bmm(*pair).mul_(0.5) for pair in ((grad, at_b.mT), (at_a.mT, grad)))
        return by_grad, by_a, by_b, by_a, by_b


def _matrix_product_formula(grad: Tensor, a1: Tensor, b1: Tensor, a0: Tensor, b0: Tensor) -> tuple[Tensor, Tensor]:
    return torch.bmm(grad, torch.lerp(b0, b1, 0.5).mT), torch.bmm(torch.lerp(a0, a1, 0.5).mT, grad)
