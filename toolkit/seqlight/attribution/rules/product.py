"""The rule for products: the Jacobian half way between reference and input.

A product of two operands has a Jacobian that is linear on the line between them, so its mean is its value at the
midpoint::

    a1 * b1 - a0 * b0 = (a1 - a0) * (b1 + b0) / 2 + (b1 - b0) * (a1 + a0) / 2

A product of three or four takes two points of Gauss and Legendre's, and so on: it is always exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, without_base
from seqlight.attribution.calls.partners import align_partners, interpolate
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.buffers import empty_like
from seqlight.attribution.rules.mean_jacobian import VJPFunction, mean_vjp, vjp_at


@dataclass(frozen=True)
class Product:
    """An operation that is linear in each of its operands.

    Parameters
    ----------
    vjp : callable, optional
        For two operands, maps the gradient at the output and both operands to the gradients at these, or returns None
        where it cannot; otherwise autograd does it.
    """

    vjp: Function | None = None
    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the operands."""
        compute = partial(_multiply, call)
        return ObserveFunction.apply(compute, *call.tensors), [Snapshot.take(x, copy) for x in call.tensors]

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Take the Jacobian at the midpoint, or the mean over as many points as more than two operands need."""
        x1 = [one.get() for one in kept]
        if len(x1) > 2:
            x0 = [Snapshot.take(x, copy) for x in call.tensors]
            points = (len(x1) + 1) // 2

            def mean(grads: Sequence[Tensor]) -> Any:
                return mean_vjp(call, x1, [one.get() for one in x0], grads, points)

            return VJPFunction.apply(partial(_multiply, call), mean, *call.tensors)
        tensors = call.tensors
        middle = [midpoint(one, x.detach()) for one, x in zip(x1, tensors, strict=True)]
        # Keywords may come in any order.
        known = None if call.has_keywords else self.vjp

        def vjp(grads: Sequence[Tensor]) -> Any:
            found = None if known is None else known(grads[0], *middle)
            return vjp_at(call, middle, grads) if found is None else found

        return VJPFunction.apply(partial(_multiply, call), vjp, *tensors)


def _multiply(call: Call, *operands: Tensor) -> Tensor:
    return without_base(call(*operands), *operands)


def product_vjp(grad: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients at the operands of ``a * b``."""
    return grad * b.conj(), grad * a.conj()


def matrix_vjp(grad: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the gradients at the operands of ``a @ b``, unless one of them is a vector."""
    if min(a.ndim, b.ndim) < 2:
        return None
    if a.ndim < 4 or a.shape[:-2] != b.shape[:-2]:
        return grad @ b.mH, a.mH @ grad
    # Matrices one after the other, once for both products, each of which would copy heads of a wider tensor.
    g, one, other = (x.flatten(0, -3) for x in (grad, a, b))
    return torch.bmm(g, other.mH).view(a.shape), torch.bmm(one.mH, g).view(b.shape)


def midpoint(recorded: Tensor, reference: Tensor) -> Tensor:
    """Return the mean of both, in the shape of `reference`; on a CPU its memory is lent, if possible."""
    if not reference.is_cpu:
        return interpolate(recorded, reference, 0.5)
    out = empty_like(reference)
    a, b = align_partners(recorded, reference)
    a = a if a.dtype == b.dtype else a.to(b.dtype)
    torch.lerp(b, a, 0.5, out=out if b is reference else out.view(b.shape))
    return out
