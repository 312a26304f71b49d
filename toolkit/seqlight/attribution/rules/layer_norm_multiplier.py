"""A gradient times the multiplier of layer norm as a single node of autograd's graph, with closed derivatives.

A row's multiplier is a symmetric matrix, ``s' * (I - 1/N) - k / N * c' c'^T`` with ``k = (s1 * s0)^2 / s'``, in
the terms of ``layer_norm.py``: so the gradient at the gradient is the same matrix times what arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.layer_norm import layer_norm_vjp
from seqlight.attribution.rules.multiplier_functions import differentiate_formula

# Rows, their means, and the reciprocal roots of their variances.
Moments: TypeAlias = tuple[Tensor, Tensor, Tensor]


class LayerNormMultiplierFunction(RuleFunction):
    """A gradient times the multiplier of layer norm over the last dimension.

    Parameters of :meth:`forward`: what is added to variances; the moments of both inputs, or None where they are not
    known; the weight or None; the gradient and inputs.
    """

    @staticmethod
    def forward(
        ctx: Any,
        eps: float,
        known: Sequence[Moments | None],
        weight: Tensor | None,
        grad: Tensor,
        x1: Tensor,
        x0: Tensor,
    ) -> Tensor:
        """Return the gradient at the inputs `x0`."""
        # Tensors that lie across memory would slow down whatever meets them, here and in the backward pass.
        grad, ctx.eps = grad.contiguous(), eps
        one, other = (
            _moments_of(x.contiguous(), eps) if given is None else (given[0].contiguous(), *given[1:])
            for given, x in zip(known, (x1, x0), strict=True)
        )
        ctx.save_for_backward(weight, grad, *one, *other)
        kernel = kernel_for("layer_norm.layer_norm_vjp", grad.device.type, grad.dtype)
        found: Tensor | None = kernel(grad, weight, one, other) if kernel else None
        return layer_norm_vjp(grad, weight, one, other) if found is None else found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the weight, the gradient and both inputs."""
        (g,), (weight, grad, x1, mean1, s1, x0, mean0, s0) = grads, ctx.saved_tensors
        if torch.is_grad_enabled():
            weights, needed = ([], ctx.needs_input_grad[3:]) if weight is None else ([weight], ctx.needs_input_grad[2:])
            formula = partial(_formula, ctx.eps) if len(weights) else partial(_formula, ctx.eps, None)
            found = differentiate_formula(formula, (*weights, grad, x1, x0), g, needed)
            return None, None, *([] if len(weights) else [None]), *found
        kernel = kernel_for("layer_norm.layer_norm_derivatives", grad.device.type, grad.dtype)
        by = kernel(g, grad, weight, (x1, mean1, s1), (x0, mean0, s0)) if kernel else None
        if by is not None:
            by_h, by_1, by_0 = by
            by_weight = None if weight is None else (by_h * grad).flatten(0, -2).sum(0)
            return None, None, by_weight, by_h if weight is None else by_h.mul_(weight), by_1, by_0
        h = grad if weight is None else grad * weight
        c1, c0, s = x1 - mean1, x0 - mean0, (s1 + s0) / 2
        c, k, g, h = (c1 + c0).div_(2), (s1 * s0).square() / s, g - _mean(g), h - _mean(h)
        along, rise = _mean(g * c), _mean(h * c)
        by_h = (g * s).addcmul_(c, k * along, value=-1)
        by_weight = None if weight is None else (by_h * grad).flatten(0, -2).sum(0)
        by_x = (g * rise).addcmul_(h, along).mul_(k / -2)
        by_s, by_k = _mean(g * h) / 2, along * rise * k
        by_1, by_0 = (
            torch.addcmul(by_x, one, (by_s - by_k * (2 / rate - 0.5 / s)) * rate**3, value=-1)
            for one, rate in ((c1, s1), (c0, s0))
        )
        return None, None, by_weight, by_h if weight is None else by_h.mul_(weight), by_1, by_0


def kept_moments(y: Tensor) -> Moments | None:
    """Return what PyTorch has kept of a layer norm whose result is `y`: its input, and the moments of that; or None."""
    node: Any = y.grad_fn
    if node is None or node.name() != "NativeLayerNormBackward0" or not _can_be_read(node):
        return None
    if node._saved_result1.dtype != y.dtype:
        return None
    return node._saved_input.detach(), node._saved_result1, node._saved_result2


def _can_be_read(node: Any) -> bool:
    """Return whether autograd itself has kept what a node saved: a checkpoint gives it back only once."""
    try:  # which is refused where somebody else keeps it
        node._raw_saved_result1.register_hooks(Tensor.detach, _as_it_is)
    except RuntimeError:
        return False
    return True


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _moments_of(x: Tensor, eps: float) -> Moments:
    if not (x.is_cpu and x.numel()):
        return moments(x, eps)
    _, mean, rate = torch.native_layer_norm(x, x.shape[-1:], None, None, eps)
    return x, mean, rate


def _mean(x: Tensor) -> Tensor:
    return x.mean(-1, keepdim=True)


def moments(x: Tensor, eps: float) -> Moments:
    """Return the moments of rows, in the graph."""
    mean = _mean(x)
    return x, mean, torch.rsqrt(_mean((x - mean).square()) + eps)


def _formula(eps: float, weight: Tensor | None, grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
    """Return the same in formulas that autograd can differentiate, again and again."""
    (x1, mean1, s1), (x0, mean0, s0) = moments(x1, eps), moments(x0, eps)
    h, c, s = grad if weight is None else grad * weight, (x1 - mean1 + x0 - mean0) / 2, (s1 + s0) / 2
    return s * (h - _mean(h)) - c * _mean(h * c) * (s1 * s0).square() / s
