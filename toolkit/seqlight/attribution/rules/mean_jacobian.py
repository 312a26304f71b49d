"""The mean Jacobian of an operation on the line from reference to input, as gradients go through it.

By the fundamental theorem of calculus it maps the difference of the operands exactly to that of the results: this is
what makes the sum of contributions the difference of the model's outputs. A gradient goes back through it as the mean
of vector-Jacobian products at points on the line, which are Gauss and Legendre's.

References
----------
Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks: integrated gradients, here of one operation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.call import Call, Function, RuleFunction
from seqlight.attribution.calls.cudnn import WITHOUT_CUDNN
from seqlight.attribution.calls.partners import interpolate
from seqlight.errors import UnsupportedOperation


class VJPFunction(RuleFunction):
    """An operation whose backward pass is a given vector-Jacobian product."""

    @staticmethod
    def forward(ctx: Any, compute: Function, vjp: Function, *xs: Tensor) -> Any:
        """Return ``compute(*xs)``; `vjp` maps the gradients at the outputs to those at `xs`."""
        ctx.vjp = vjp
        return compute(*[x.detach() for x in xs])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        return None, None, *ctx.vjp(grads)


def mean_vjp(
    call: Call, x1: Sequence[Tensor], x0: Sequence[Tensor], grads: Sequence[Tensor], points: int
) -> list[Tensor]:
    """Return the gradients at the operands, averaged over so many points on the line from `x0` to `x1`.

    Parameters
    ----------
    call : Call
        The operation.
    x1, x0 : sequence of torch.Tensor
        Its operands with the sequences, and with the references.
    grads : sequence of torch.Tensor
        The gradients at its outputs.
    points : int
        With n points it is exact for Jacobians that are polynomials of degree 2 n - 1 on the line.
    """
    total = [torch.zeros_like(x) for x in x0]
    for share, weight in gauss_legendre(points):
        point = [interpolate(a, b, share) for a, b in zip(x1, x0, strict=True)]
        for sum_, found in zip(total, vjp_at(call, point, grads), strict=True):
            sum_.add_(found, alpha=weight)
    return total


def vjp_at(call: Call, operands: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients at `operands`, as autograd finds them; zeros where no gradient arrives."""
    # cuDNN refuses the backward pass of a recurrent network in evaluation mode.
    on_cuda = any(x.is_cuda for x in operands)
    with torch.enable_grad(), WITHOUT_CUDNN.apply() if on_cuda else contextlib.nullcontext():
        leaves = [x.detach().requires_grad_() for x in operands]
        outputs = [one for one in tree_flatten(call(*leaves))[0] if isinstance(one, Tensor)]
        dependent = [(y, g) for y, g in zip(outputs, grads, strict=True) if y.requires_grad]
        ys, gs = [y for y, _ in dependent], [g for _, g in dependent]
        found: Sequence[Tensor | None] = [None] * len(leaves)
        if dependent:
            try:
                found = torch.autograd.grad(ys, leaves, gs, allow_unused=True)
            except RuntimeError as error:
                if "not implemented" not in str(error):
                    raise
                reason = str(error).rstrip(".")
                raise UnsupportedOperation(
                    f"{call.name}{call.location} has no rule, and PyTorch knows no derivative of it ({reason}): "
                    "replace the operation, or leave that part of the model out."
                ) from None
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


@cache
def gauss_legendre(points: int) -> Sequence[tuple[float, float]]:
    """Return places between 0 and 1, and the weight of each; the weights sum to 1.

    Examples
    --------
    >>> gauss_legendre(1)
    [(0.5, 1.0)]
    """
    at, weights = np.polynomial.legendre.leggauss(points)
    return [(float(a + 1) / 2, float(w) / 2) for a, w in zip(at, weights, strict=True)]
