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

from seqlight.attribution.calls.call import Call, Function, Observed, Pulled
from seqlight.attribution.calls.function_bodies import operation
from seqlight.attribution.calls.pairs import repeated
from seqlight.attribution.calls.record import Recorded
from seqlight.attribution.kernels.table import kernel_for


class Standardise:
    """A call of :func:`standardised_over_last`."""

    backward: ClassVar[type[torch.autograd.Function]] = Pulled

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input, its mean, and the reciprocal root of its variance."""
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            x, y, mean, rate = _standardised(x, call)
            kept.extend((Recorded.of(x, copy), Recorded.of(mean, False), Recorded.of(rate, False)))
            return y

        return Observed.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Go half way."""
        recorded, weight = tuple(one.get() for one in kept), call.leaves[1]

        def compute(x0: Tensor) -> tuple[Tensor, Function]:
            x0, y0, mean0, rate0 = _standardised(x0, call)
            own = Recorded.of(x0, copy)

            def pull(grad: Tensor) -> tuple[Tensor]:
                reference = own.get(), mean0, rate0
                kernel = kernel_for("layer_norm.layer_norm_vjp", grad.device.type, grad.dtype)
                found = kernel(grad, weight, recorded, reference) if kernel else None
                return (layer_norm_vjp(grad, weight, recorded, reference) if found is None else found,)

            return y0, pull

        return Pulled.apply(compute, *call.tensors)


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


def layer_norm_vjp(
    grad: Tensor, weight: Tensor | None, recorded: tuple[Tensor, ...], reference: tuple[Tensor, ...]
) -> Tensor:
    """Return the gradient at the input of the references, for `grad`, that at their output.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., width)
    weight : torch.Tensor, shape (width,), optional
    recorded, reference : tuple of torch.Tensor
        Input, and mean and reciprocal root of the variance over its last dimension, which stays.
    """
    x0, mean0, s0 = reference
    x1, mean1, s1 = (repeated(one, like) for one, like in zip(recorded, reference, strict=True))
    grad, centred = grad if weight is None else grad * weight, (x1 + x0 - mean1 - mean0) / 2
    along, secant = (grad * centred).mean(dim=-1, keepdim=True), -2 * (s1 * s0).square() / (s1 + s0)
    return (s1 + s0) / 2 * (grad - grad.mean(dim=-1, keepdim=True)) + centred * (along * secant)


def _standardised(x: Tensor, call: Call) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the input in one piece, the result, the means, and the reciprocal roots."""
    (_, weight, bias, eps), _ = call.arguments()
    kernel = kernel_for("layer_norm.layer_norm", x.device.type, x.dtype)
    found: tuple[Tensor, Tensor, Tensor, Tensor] | None = kernel(x, weight, bias, eps) if kernel else None
    if found is not None:
        return found
    x = x.contiguous()
    return x, *torch.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
