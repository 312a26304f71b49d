"""What goes back through an operation, as a differentiable function: elementwise operations, products and quotients.

The rules beside this file multiply by numbers, in place and by kernels, and keep no graph of how they found them. Here
the same multipliers are written so that autograd can differentiate them, with respect to the sequences as well as to
the references. No quotient is ever 0 / 0, since the derivative of ``where`` would be NaN in both branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.rules.activation_multiplier import ActivationMultiplierFunction, kind_of_loop
from seqlight.attribution.rules.elementwise import Rescale, Rounding, rounding_error, smallest_step
from seqlight.attribution.rules.mean_jacobian import gauss_legendre
from seqlight.attribution.rules.multiplier_functions import (
    MatrixProductFunction,
    ReluFunction,
    SmoothFunction,
    least_secant_step,
)
from seqlight.attribution.rules.smooth_activations import SmoothActivation
from seqlight.attribution.rules.special_functions import no_slope
from seqlight.attribution.rules.where import Choose

# Elementwise operations whose slope has no steps: the secant of a small step is the mean slope at two points.
SMOOTH = frozenset(
    "sigmoid expit tanh gelu silu exp mish softplus logsigmoid erf sin cos tanhshrink square expm1".split()
)


@dataclass
class Observed:
    """A call in one of both passes, with its results, which are in autograd's graph.

    Attributes
    ----------
    call : Call
    operands : tuple of torch.Tensor
        The tensors that depend on the input.
    results : tuple of torch.Tensor
        What the call returned; for a selection also the places.
    outputs : int
        How many of these come first and depend on the input.
    parts : tuple of torch.Tensor or None, optional
        What else the multiplier is made of, if it is not made of operands and results; nobody else has them.
    """

    call: Call
    operands: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    outputs: int = 1
    parts: tuple[Any, ...] = ()


def rescale(rule: Rescale, sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient at the operand of an elementwise operation: times its secant, or its tangent.

    Where the input hardly changes, the secant of a smooth function is its mean slope at two points between, and that of
    any other its slope at the sequence. There the derivative is that of the slope, for a function with kinks only with
    respect to the sequence.
    """
    (x0,), (y0,) = reference.operands, reference.results
    x1, y1 = repeat_like(sequence.operands[0], x0), repeat_like(sequence.results[0], y0)
    if sequence.call.name == "relu":
        return [ReluFunction.apply(grads[0], x1, x0)]
    if sequence.call.name in SMOOTH:
        function, near = reference.call, least_secant_step(x0.dtype)
        at = partial(_slope_by, rule, function)
        of = grads[0], x1, x0, y1.detach(), y0.detach()
        if (kind := kind_of_loop(rule, function, x0)) is not None:
            return [ActivationMultiplierFunction.apply(function, at, near, kind, *of)]
        return [SmoothFunction.apply(function, at, near, *of)]
    dx, dy = x1 - x0, y1 - y0
    with torch.no_grad():
        chosen = (dx.abs() >= smallest_step(x0.dtype)) & dy.isfinite() & dx.isfinite()
    if rule.slope is no_slope:
        tangent = torch.zeros_like(x0)
    else:
        # The arguments of the sequences' call have a row for each sequence.
        tangent = repeat_like(slope(sequence.call, sequence.operands[0]), x0)
        with torch.no_grad():
            chosen &= ~_is_rounding(rule.rounding, x1, y1, dx, dy, tangent)
    safe_dx, safe_dy = torch.where(chosen, dx, 1), torch.where(chosen, dy, 0)
    return [grads[0] * torch.where(chosen, safe_dy / safe_dx, tangent)]


def _is_rounding(rounding: Rounding, x1: Tensor, y1: Tensor, dx: Tensor, dy: Tensor, tangent: Tensor) -> Tensor:
    """Return where the tangent explains the difference up to rounding, as :func:`elementwise.secant` decides it."""
    error = rounding_error(dx.dtype, rounding)
    size = (x1 if rounding is Rounding.INPUT else y1).abs() + (tangent * x1).abs()
    return (dy - tangent * dx).abs() < size * error


def _slope_by(rule: Rescale, call: Call, x: Tensor) -> Tensor:
    """Return the same as :func:`slope`, by a kernel if there is one and no graph."""
    is_one = isinstance(rule, SmoothActivation) and not torch.is_grad_enabled()
    found = rule.slope_at(call, x) if is_one else None  # type: ignore[attr-defined]
    return slope(call, x) if found is None else found


def slope(call: Call, x: Tensor) -> Tensor:
    """Return the slope of an elementwise call at `x`, in the graph if there is one; an infinite one counts as 0."""
    in_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        at = x if in_graph and x.requires_grad else x.detach().requires_grad_()
        y: Tensor = call(at)
        if not y.requires_grad:  # a constant, such as clamp(x, 1, 1)
            return torch.zeros_like(x)
        (found,) = torch.autograd.grad(y, at, torch.ones_like(y), create_graph=in_graph, materialize_grads=True)
    if not in_graph:
        return found.nan_to_num_(0, 0, 0)
    # PyTorch differentiates the slope of hardsigmoid, which has steps alone, not a second time.
    found = found.detach() if call.name == "hardsigmoid" else found
    return torch.where(found.isfinite(), found, 0)


def product(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients at the operands of a product: by its Jacobian half way, or at as many points as it needs."""
    x0 = reference.operands
    x1 = [repeat_like(one, its) for one, its in zip(sequence.operands, x0, strict=True)]
    total: list[Tensor] = []
    for share, weight in gauss_legendre((len(x0) + 1) // 2):
        with torch.enable_grad():
            point = [torch.lerp(b, a, share) for a, b in zip(x1, x0, strict=True)]
            point = [one if one.requires_grad else one.requires_grad_() for one in point]
            found = torch.autograd.grad(reference.call(*point), point, grads[0], create_graph=True)
        found = tuple(one * weight for one in found) if weight != 1 else found
        total = [a + b for a, b in zip(total, found, strict=True)] if total else list(found)
    return total


def elementwise_product(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the same for two real tensors of one shape, without a graph of the product itself."""
    (grad,), x0 = grads, reference.operands
    if len(x0) != 2 or any(one.shape != grad.shape or one.is_complex() for one in x0):
        return product(sequence, reference, grads)
    a, b = (torch.lerp(its, repeat_like(one, its), 0.5) for one, its in zip(sequence.operands, x0, strict=True))
    return [grad * b, grad * a]


def matrix_product(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the same for two matrices, or as many pairs as the leading dimensions have, by a node of its own."""
    a, b = x0 = reference.operands
    if a.ndim < 3 or a.shape[:-2] != b.shape[:-2] or a.is_complex() or reference.call.has_keywords:
        return product(sequence, reference, grads)
    x1 = [repeat_like(one, its) for one, its in zip(sequence.operands, x0, strict=True)]
    found = MatrixProductFunction.apply(*(one.flatten(0, -3) for one in (grads[0], *x1, *x0)))
    return [one.view(its.shape) for one, its in zip(found, x0, strict=True)]


def quotient(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients at dividend and divisor, as in ``quotient.py``."""
    a0, b0 = reference.operands
    a1, b1 = (repeat_like(one, its) for one, its in zip(sequence.operands, (a0, b0), strict=True))
    nonzero = (b1 != 0) & (b0 != 0)
    b1, b0 = torch.where(nonzero, b1, 1), torch.where(nonzero, b0, 1)
    turned = (b1 > 0) ^ (b0 > 0)
    mean = torch.where(turned, 1, b1 / 2 + b0 / 2)
    by_dividend = torch.where(turned, 1 / b1 / 2 + 1 / b0 / 2, 1 / mean)
    by_divisor = torch.where(turned, -(a1 / 2 + a0 / 2) / b0 / b1, -(a1 / b1 + a0 / b0) / 2 / mean)
    # An infinite slope counts as none.
    return [grads[0] * torch.where(nonzero, one, 0) for one in (by_dividend, by_divisor)]


def choose(rule: Choose, sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients at both operands of a choice, as in ``where.py``."""
    s1, s0 = (rule.is_first(one.call, *one.operands) for one in (sequence, reference))
    d1, d0 = (one.operands[0] - one.operands[1] for one in (sequence, reference))
    s1, d1 = repeat_like(s1, s0), repeat_like(d1, d0)
    d = d1 - d0
    with torch.no_grad():
        turned = (s1 != s0) & (d.abs() >= smallest_step(d.dtype)) & d.isfinite()
    # Finite where it counts: the difference of two infinities does not.
    d1, d0, d = (torch.where(turned, one, fill) for one, fill in ((d1, 0), (d0, 0), (d, 1)))
    share = torch.where(turned, torch.where(s1, d1, -d0) / d, s1.to(d.dtype))
    first = grads[0] * share
    return [first, grads[0] - first]
