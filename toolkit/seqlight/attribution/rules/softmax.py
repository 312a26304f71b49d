"""The rules for logsumexp, log_softmax and softmax.

``logsumexp`` is the logarithm of a sum of exponentials. The product of their secants are weights ``q``, one for each
input, with ``sum(q * dx) = d logsumexp``; for a small step they are the softmax itself. ``log_softmax`` is x minus
logsumexp, and ``softmax`` the exponential of log_softmax, whose secant is its slope ``dy / (dx - d logsumexp)``. All is
written with probabilities in place of exponentials, so nothing overflows, whatever is added to x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, RuleFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.logarithmic_mean import nearness
from seqlight.attribution.rules.reductions import dimensions, flatten_last, keep_dimensions
from seqlight.attribution.rules.softmax_secants import LogsumexpRise, softmax_secants


class SoftmaxFunction(RuleFunction):
    """Softmax, log_softmax or logsumexp, with the weights of logsumexp and the secant of softmax."""

    @staticmethod
    def forward(ctx: Any, compute: Any, kind: str, dim: int, x: Tensor) -> Tensor:
        """Return the output, and keep what the backward pass needs."""
        y, weights, slope = compute(x.detach())
        ctx.save_for_backward(weights, slope)
        ctx.kind, ctx.dim = kind, dim
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        weights, slope = ctx.saved_tensors
        (grad,) = grads
        if ctx.kind == "logsumexp":
            return None, None, None, grad.unsqueeze(ctx.dim) * weights
        if ctx.kind == "softmax":
            return None, None, None, softmax_vjp(grad, weights, slope, ctx.dim)
        return None, None, None, grad - weights * grad.sum(dim=ctx.dim, keepdim=True)


@dataclass(frozen=True)
class Softmax:
    """A call of `kind`, "softmax", "log_softmax" or "logsumexp", over one dimension."""

    kind: str
    backward: ClassVar[type[torch.autograd.Function]] = SoftmaxFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input and its softmax."""
        kept: list[Snapshot] = []
        dim = _dimension(call)

        def compute(x: Tensor) -> Tensor:
            y = call(x)
            softmax = Snapshot.take(y, copy) if self.kind == "softmax" else Snapshot.take(x.softmax(dim), False)
            kept.extend((Snapshot.take(x, copy), softmax))
            return y  # type: ignore[no-any-return]

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Compute the weights of logsumexp, and the secant of softmax."""
        x1, p1 = (one.get() for one in kept)
        dim = _dimension(call)

        def compute(x0: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            y0, softmax = call(x0), self.kind == "softmax"
            weights, slope = softmax_multipliers((x1, p1), (x0, y0 if softmax else x0.softmax(dim)), dim)
            return y0, weights, slope if softmax else None

        return SoftmaxFunction.apply(compute, self.kind, dim, *call.tensors)


@as_operation
def softmax_over(x: Tensor, dim: int) -> Tensor:
    """Return the softmax over one dimension."""
    return torch.softmax(x, dim)


@as_operation
def log_softmax_over(x: Tensor, dim: int) -> Tensor:
    """Return the log_softmax over one dimension."""
    return torch.log_softmax(x, dim)


@as_operation
def logsumexp_over(x: Tensor, dim: int) -> Tensor:
    """Return the logsumexp over one dimension, which is removed."""
    return torch.logsumexp(x, dim)


def softmax(input: Tensor, dim: int | None = None, *more: Any, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    """Return the softmax, for any of its spellings."""
    return softmax_over(*_input_and_dimension(input, dim, more, dtype))  # type: ignore[no-any-return]


def fused_softmax(
    input: Tensor, dim: int | None = None, *more: Any, dtype: torch.dtype | None = None, **options: Any
) -> tuple[Function, tuple[Tensor, int]] | None:
    """Return :func:`softmax_over` and its arguments, if that is what a call of softmax is, or None."""
    casts = dtype is not None or any(isinstance(one, torch.dtype) for one in more)
    is_one = input.requires_grad and not casts and options.keys() <= {"_stacklevel"}
    return (softmax_over, _input_and_dimension(input, dim, (), None)) if is_one else None


def log_softmax(
    input: Tensor, dim: int | None = None, *more: Any, dtype: torch.dtype | None = None, **_: Any
) -> Tensor:
    """Return the log_softmax, for any of its spellings."""
    return log_softmax_over(*_input_and_dimension(input, dim, more, dtype))  # type: ignore[no-any-return]


def _input_and_dimension(x: Tensor, dim: int | None, more: Any, dtype: torch.dtype | None) -> tuple[Tensor, int]:
    # F.softmax has a stack level in the place where torch.softmax has the dtype.
    dtype = next((one for one in more if isinstance(one, torch.dtype)), dtype)
    if dim is None:
        dim = 0 if x.ndim in (0, 1, 3) else 1
    return (x if dtype is None else x.to(dtype)), dim


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """Return the logsumexp over one dimension or several."""
    dims = dimensions(input, dim)
    y: Tensor = logsumexp_over(flatten_last(input, dims), -1)
    return keep_dimensions(y, input, dims) if keepdim else y


def softmax_multipliers(
    recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], dim: int
) -> tuple[Tensor, Tensor]:
    """Return the weights of logsumexp, and the secant of softmax.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, and softmax over `dim`.
    dim : int
        Not negative.

    Returns
    -------
    weights : torch.Tensor, shape of the reference's input
        Their sum with the differences of inputs is the difference of logsumexps.
    slope : torch.Tensor, shape of the reference's input
        The difference of softmax over that of log_softmax.
    """
    kernel, near = _kernel_for_rows("softmax.softmax_multipliers", dim, reference[0]), nearness(reference[0].dtype)
    found: tuple[Tensor, Tensor] | None = kernel(recorded, reference, near) if kernel else None
    if found is not None:
        return found
    rise = LogsumexpRise.between(recorded, reference, dim)
    return softmax_secants(recorded, reference, rise, dim, hidden=True)[:2]


def softmax_vjp(grad: Tensor, weights: Tensor, slope: Tensor, dim: int) -> Tensor:
    """Return the gradient at the input of softmax.

    Parameters
    ----------
    grad, weights, slope : torch.Tensor
        The gradient at the output, and what :func:`softmax_multipliers` gave.
    dim : int
        Not negative.
    """
    kernel = _kernel_for_rows("softmax.softmax_vjp", dim, grad)
    found: Tensor | None = kernel(grad, weights, slope) if kernel else None
    if found is not None:
        return found
    grad = grad * slope
    return grad.addcmul_(weights, grad.sum(dim=dim, keepdim=True), value=-1)


def _kernel_for_rows(step: str, dim: int, x: Tensor) -> Function | None:
    return kernel_for(step, x.device.type, x.dtype) if dim == x.ndim - 1 else None


def _dimension(call: Call) -> int:
    (x, dim), _ = call.arguments()
    rank: int = x.ndim
    return int(dim) % rank
