"""The rule for standardisation: subtract the mean, divide by the root of the variance and a little more.

With ``c = x - mean(x)`` and ``s = 1 / sqrt(mean(c * c) + eps)`` the result is ``c * s``. Products are explained half
way between sequence and reference, and the secant of the reciprocal root has a closed form that never
divides by a difference::

    ds / dv = -(s1 * s0)^2 / (s1 + s0),        dv = mean(2 * c' * dc),        c' = (c1 + c0) / 2

so a gradient g comes back as ``s' * (g - mean(g)) + c' * sum(g * c') * 2 / N * ds / dv``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.opening import operation
from seqlight.attribution.calls.pairing import repeated
from seqlight.attribution.calls.recording import Call, Observed, Recorded, apply
from seqlight.attribution.rules import loops


class Standardised(torch.autograd.Function):
    """A standardisation whose way back is taken half way."""

    @staticmethod
    def forward(ctx: Any, compute: Any, weight: Tensor | None, x: Tensor) -> Tensor:
        """Return the output, and keep what the way back needs."""
        y, *kept = compute(x.detach())
        ctx.save_for_backward(*kept)
        ctx.weight = weight
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        centred, rate, secant = ctx.saved_tensors
        (grad,) = grads
        at_once = loops.standardised_gradients(grad, ctx.weight, centred, rate, secant)
        if at_once is not None:
            return None, None, at_once
        grad = grad if ctx.weight is None else grad * ctx.weight
        along = (grad * centred).sum(dim=-1, keepdim=True)
        return None, None, rate * (grad - grad.mean(dim=-1, keepdim=True)) + centred * (along * secant)


class Standardise:
    """A call of :func:`standardised_over_last`."""

    backward: ClassVar[type[torch.autograd.Function]] = Standardised

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input, its mean, and the reciprocal root of its variance."""
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            x, y, mean, rate = _standardised(x, call)
            kept.extend((Recorded.of(x, copy), Recorded.of(mean, False), Recorded.of(rate, False)))
            return y

        return apply(Observed, compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Go half way."""
        x1, mean1, s1 = (one.get() for one in kept)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            x0, y0, mean0, s0 = _standardised(x0, call)
            centred = loops.half_way_centred((x1, mean1), (x0, mean0))
            if centred is None:
                centred = (repeated(x1, x0) + x0 - repeated(mean1, mean0) - mean0) / 2
            s = repeated(s1, s0)
            secant = (s * s0).square_().div_(s + s0).mul_(-2 / x0.shape[-1])
            return y0, centred, (s + s0).div_(2), secant

        weight = call.arguments()[0][1]
        return apply(Standardised, compute, weight, *call.tensors)


@operation
def standardised_over_last(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Return `x` with mean 0 and variance 1 over its last dimension, but for `eps`, times `weight` and plus `bias`.

    Parameters
    ----------
    x : torch.Tensor, shape (..., width)
    weight, bias : torch.Tensor, shape (width,), optional
        They may not depend on the input.
    eps : float
        Added to the variance.
    """
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def _standardised(x: Tensor, call: Call) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the input in one piece, the result, the means, and the reciprocal roots."""
    (_, weight, bias, eps), _ = call.arguments()
    x = x.contiguous()
    return x, *torch.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
