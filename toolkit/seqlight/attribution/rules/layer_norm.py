"""The rule for layer norm, and what is written with it: RMS norm, group norm and instance norm.

With ``c = x - mean(x)`` and ``s = 1 / sqrt(mean(c * c) + eps)`` the result is ``c * s``, times a weight plus a bias.
The product takes its Jacobian half way (``product.py``), at ``c' = (c1 + c0) / 2`` and ``s' = (s1 + s0) / 2``, and the
secant of the reciprocal root has a closed form that never divides by a difference::

    ds / dv = -(s1 * s0)^2 / (s1 + s0),        dv = mean(2 * c' * dc)

so a gradient g goes back as ``s' * (g - mean(g)) + c' * sum(g * c') * 2 / N * ds / dv``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, PullbackFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import align_partners, interpolate
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.table import kernel_for


class LayerNorm:
    """A call of :func:`layer_norm_over_last`."""

    backward: ClassVar[type[torch.autograd.Function]] = PullbackFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input, its means, and the reciprocal roots of its variances."""
        kept: list[Snapshot] = []

        def compute(x: Tensor) -> Tensor:
            x, y, mean, rate = _normalised(x, call)
            kept.extend((Snapshot.take(x, copy), Snapshot.take(mean, False), Snapshot.take(rate, False)))
            return y

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the mean Jacobian, in the backward pass."""
        recorded, weight = tuple(one.get() for one in kept), call.leaves[1]

        def compute(x0: Tensor) -> tuple[Tensor, Function]:
            x0, y0, mean0, rate0 = _normalised(x0, call)
            own = Snapshot.take(x0, copy)

            def vjp(grad: Tensor) -> tuple[Tensor]:
                reference = own.get(), mean0, rate0
                kernel = kernel_for("layer_norm.layer_norm_vjp", grad.device.type, grad.dtype)
                found = kernel(grad, weight, recorded, reference) if kernel else None
                return (layer_norm_vjp(grad, weight, recorded, reference) if found is None else found,)

            return y0, vjp

        return PullbackFunction.apply(compute, *call.tensors)


@as_operation
def layer_norm_over_last(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Return `x` with mean 0 and variance 1 over its last dimension, times `weight` and plus `bias`.

    Parameters
    ----------
    x : torch.Tensor, shape (..., width)
    weight, bias : torch.Tensor, shape (width,), optional
        Constants: they may not depend on the input.
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
    x, mean, s = (interpolate(one, other, 0.5) for one, other in zip(recorded, reference, strict=True))
    s1, s0 = align_partners(recorded[2], reference[2])
    # PyTorch's own gradient has s' in both places: so c' comes with what the second one has too much.
    centred = x.sub_(mean).mul_((s1 * s0).reshape(s.shape).div_(s).div_(s))
    found, _, _ = torch.ops.aten.native_layer_norm_backward(
        grad, centred, x.shape[-1:], torch.zeros_like(s), s, weight, None, [True, False, False]
    )
    return found  # type: ignore[no-any-return]


def _normalised(x: Tensor, call: Call) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the input as a contiguous tensor, the result, means, and reciprocal roots of variances."""
    _, weight, bias, eps = call.leaves
    kernel = kernel_for("layer_norm.layer_norm", x.device.type, x.dtype)
    found: tuple[Tensor, Tensor, Tensor, Tensor] | None = kernel(x, weight, bias, eps) if kernel else None
    if found is not None:
        return found
    x = x.contiguous()
    return x, *torch.native_layer_norm(x, x.shape[-1:], weight, bias, eps)


def fused_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> tuple[Function, tuple[Any, ...]] | None:
    """Return :func:`layer_norm_over_last` and its arguments, if that is what a call of layer norm is, or None."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        torch.layer_norm(input, shape, weight, bias, eps)  # raises PyTorch's own error
    fixed = not any(one is not None and one.requires_grad for one in (weight, bias))
    is_one = input.requires_grad and fixed and len(shape) == 1
    return (layer_norm_over_last, (input, weight, bias, eps)) if is_one else None


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> Tensor:
    """Return layer norm, with a weight and a bias that may depend on the input."""
    lead, fixed = input.ndim - len(tuple(normalized_shape)), [weight, bias]
    if any(one is not None and one.requires_grad for one in fixed):
        return _affine(_without_affine(input.flatten(lead), eps).reshape(input.shape), weight, bias)
    flat = [None if one is None else one.flatten() for one in fixed]
    return layer_norm_over_last(input.flatten(lead), *flat, eps).reshape(input.shape)  # type: ignore[no-any-return]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Return RMS norm: the input times the reciprocal root of its mean square."""
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    dims = tuple(range(-len(tuple(normalized_shape)), 0))
    return _affine(input * torch.rsqrt((input * input).mean(dims, keepdim=True) + eps), weight, None)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> Tensor:
    """Return group norm: the layer norm of each group of channels of each row."""
    y = _without_affine(input.reshape(len(input), num_groups, -1), eps).reshape(input.shape)
    return _affine(y, *(None if one is None else _by_channel(one, input) for one in (weight, bias)))


def instance_norm(
    input: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
    **__: Any,
) -> Tensor:
    """Return instance norm: the layer norm of each channel of each row, or with running statistics."""
    if use_input_stats:
        y = _without_affine(input.flatten(2), eps).reshape(input.shape)
    else:
        assert running_mean is not None
        assert running_var is not None
        y = (input - _by_channel(running_mean, input)) * torch.rsqrt(_by_channel(running_var, input) + eps)
    return _affine(y, *(None if one is None else _by_channel(one, input) for one in (weight, bias)))


def _without_affine(x: Tensor, eps: float) -> Tensor:
    return layer_norm_over_last(x, None, None, eps)  # type: ignore[no-any-return]


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = x if weight is None else x * weight
    return y if bias is None else y + bias


def _by_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (x.ndim - 2))
