"""The rules for what exponentials are normalised by: logsumexp, log_softmax and softmax.

``logsumexp`` is a sum of exponentials and a logarithm. The secants of these multiply to weights ``q``
with ``sum(q * dx) = d logsumexp``. ``log_softmax`` is x minus it, and ``softmax`` the exponential of that.
Written with probabilities instead of exponentials nothing overflows, whatever is added to x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.pairing import split
from seqlight.attribution.calls.recording import Call, Observed, Recorded, apply
from seqlight.attribution.rules import loops
from seqlight.attribution.rules.elementwise import threshold


class Normalised(torch.autograd.Function):
    """A normaliser over `dim`: weights, and for softmax the secant of the exponential."""

    @staticmethod
    def forward(ctx: Any, compute: Any, kind: str, dim: int, x: Tensor) -> Tensor:
        """Return the output, and keep what the way back needs."""
        y, weights, slope = compute(x.detach())
        ctx.save_for_backward(weights, slope)
        ctx.kind, ctx.dim = kind, dim
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        weights, slope = ctx.saved_tensors
        (grad,) = grads
        if ctx.kind == "logsumexp":
            return None, None, None, grad.unsqueeze(ctx.dim) * weights
        if ctx.kind == "softmax":
            at_once = loops.softmax_gradients(grad, weights, slope) if ctx.dim == weights.ndim - 1 else None
            if at_once is not None:
                return None, None, None, at_once
            grad = grad * slope
        return None, None, None, grad - weights * grad.sum(dim=ctx.dim, keepdim=True)


@dataclass(frozen=True)
class Normalise:
    """A call of softmax, log_softmax or logsumexp, named `kind`, on a tensor and over one dimension."""

    kind: str
    backward: ClassVar[type[torch.autograd.Function]] = Normalised

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input, its logsumexp, and its softmax."""
        kept: list[Recorded] = []
        dim = _dimension(call)

        def compute(x: Tensor) -> Tensor:
            y, lse = call(x), x.logsumexp(dim, keepdim=True)
            softmax = Recorded.of(y, copy) if self.kind == "softmax" else Recorded.of((x - lse).exp_(), False)
            kept.extend((Recorded.of(x, copy), Recorded.of(lse, False), softmax))
            return y  # type: ignore[no-any-return]

        return apply(Observed, compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Compute the weights, and the secant of the exponential."""
        x1, lse1, p1 = (one.get() for one in kept)
        dim = _dimension(call)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            y0, softmax = call(x0), self.kind == "softmax"
            last = softmax and dim == x0.ndim - 1
            at_once = loops.softmax_multipliers((x1, p1), (x0, y0), threshold(x0.dtype)) if last else None
            weights, slope = at_once or _weights_and_slope(x1, lse1, x0, x0.logsumexp(dim, keepdim=True))
            return y0, weights, slope if softmax else None

        return apply(Normalised, compute, self.kind, dim, *call.tensors)


def _weights_and_slope(x1: Tensor, lse1: Tensor, x0: Tensor, lse0: Tensor) -> tuple[Tensor, Tensor]:
    """Return how d logsumexp divides over dx, and the secant of softmax over that of log_softmax."""
    shape = x0.shape
    x1, x0 = split(x1, x0)
    lse1, lse0 = split(lse1, lse0)
    d = lse1 - lse0
    z1, z0 = x1 - lse1, x0 - lse0
    p1, p0 = z1.exp(), z0.exp()
    # d / (1 - exp(-d)) and d / (exp(d) - 1): the mean exponential over the smaller and the larger sum.
    small = d.abs() < threshold(d.dtype)
    above = torch.where(small, 1 + d / 2, d / -torch.expm1(-d))
    below = torch.where(small, 1 - d / 2, d / torch.expm1(d))
    weights = _ratio(above * p1 - below * p0, x1 - x0, above * p1)
    return weights.reshape(shape), _ratio(p1 - p0, z1 - z0, p1).reshape(shape)


def _ratio(dy: Tensor, dx: Tensor, tangent: Tensor) -> Tensor:
    # Two infinities, masked in both, differ by no number: the tangent, which is 0 there.
    return torch.where(dx.abs() >= threshold(dx.dtype), dy / dx, tangent)


def _dimension(call: Call) -> int:
    (x, dim), _ = call.arguments()
    rank: int = x.ndim
    return int(dim) % rank
