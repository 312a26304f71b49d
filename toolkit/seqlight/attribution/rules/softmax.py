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

from seqlight.attribution.calls.call import Call, Observed, RuleFunction
from seqlight.attribution.calls.pairs import split
from seqlight.attribution.calls.record import Recorded
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.elementwise import Rounding, allowance, threshold


class Normalised(RuleFunction):
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
            return None, None, None, softmax_vjp(grad, weights, slope, ctx.dim)
        return None, None, None, grad - weights * grad.sum(dim=ctx.dim, keepdim=True)


@dataclass(frozen=True)
class Normalise:
    """A call of softmax, log_softmax or logsumexp, named `kind`, on a tensor and over one dimension."""

    kind: str
    backward: ClassVar[type[torch.autograd.Function]] = Normalised

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input and its softmax."""
        kept: list[Recorded] = []
        dim = _dimension(call)

        def compute(x: Tensor) -> Tensor:
            y = call(x)
            softmax = Recorded.of(y, copy) if self.kind == "softmax" else Recorded.of(x.softmax(dim), False)
            kept.extend((Recorded.of(x, copy), softmax))
            return y  # type: ignore[no-any-return]

        return Observed.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Compute the weights, and the secant of the exponential."""
        x1, p1 = (one.get() for one in kept)
        dim = _dimension(call)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            y0, softmax = call(x0), self.kind == "softmax"
            weights, slope = softmax_multipliers((x1, p1), (x0, y0 if softmax else x0.softmax(dim)), dim)
            return y0, weights, slope if softmax else None

        return Normalised.apply(compute, self.kind, dim, *call.tensors)


def softmax_multipliers(
    recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], dim: int
) -> tuple[Tensor, Tensor]:
    """Return how d logsumexp divides over dx, and the secant of softmax over that of log_softmax.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, and softmax over `dim`.
    dim : int
        Not negative.

    Returns
    -------
    weights, slope : torch.Tensor, shape of the reference's input
    """
    (x1, p1), (x0, p0), near = recorded, reference, threshold(reference[0].dtype)
    kernel = kernel_for("softmax.softmax_multipliers", x0.device.type, x0.dtype) if dim == x0.ndim - 1 else None
    found: tuple[Tensor, Tensor] | None = kernel(recorded, reference, near) if kernel else None
    if found is not None:
        return found
    lse1, lse0 = split(_logsumexp(x1, p1, dim), _logsumexp(x0, p0, dim))
    d, shape = (lse1 - lse0).to(x0.dtype), x0.shape
    (x1, x0), (p1, p0) = split(x1, x0), split(p1, p0)
    # d / (1 - exp(-d)) and d / (exp(d) - 1): the mean exponential over the smaller and the larger sum.
    small = d.abs() < near
    above = torch.where(small, 1 + d / 2, d / -torch.expm1(-d))
    below = torch.where(small, 1 - d / 2, d / torch.expm1(d))
    dx = x1 - x0
    weights = _ratio(above * p1 - below * p0, dx, above * p1)
    return weights.reshape(shape), _ratio(p1 - p0, dx - d, p1).reshape(shape)


def _logsumexp(x: Tensor, p: Tensor, dim: int) -> Tensor:
    """Return it with the digits for differences, from the input and softmax where that is largest."""
    most, at = p.max(dim, keepdim=True)
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    return x.gather(dim, at).to(wide) - most.to(wide).log()


def softmax_vjp(grad: Tensor, weights: Tensor, slope: Tensor, dim: int) -> Tensor:
    """Return the gradient at the input of softmax.

    Parameters
    ----------
    grad, weights, slope : torch.Tensor
        The gradient at the output, and what :func:`softmax_multipliers` gave.
    dim : int
        Not negative.
    """
    kernel = kernel_for("softmax.softmax_vjp", grad.device.type, grad.dtype) if dim == weights.ndim - 1 else None
    found: Tensor | None = kernel(grad, weights, slope) if kernel else None
    if found is not None:
        return found
    grad = grad * slope
    return grad - weights * grad.sum(dim=dim, keepdim=True)


def _ratio(dy: Tensor, dx: Tensor, tangent: Tensor) -> Tensor:
    # Two infinities, masked in both, differ by no number: the tangent, which is 0 there. And where it explains the
    # difference up to rounding, which exponents of more than one digit multiply, the secant knows no more.
    noise = tangent * 4 * allowance(dx.dtype, Rounding.OUTPUT)
    far = (dx.abs() >= threshold(dx.dtype)) & ~((dy - tangent * dx).abs_() < noise)
    return torch.where(far, dy / dx, tangent)


def _dimension(call: Call) -> int:
    (x, dim), _ = call.arguments()
    rank: int = x.ndim
    return int(dim) % rank
