"""The rule for logcumsumexp, the logarithm of a running sum of exponentials, as parallel scans take it.

Its multipliers are those of its parts, and for the last place those of ``logsumexp``: with sums ``s[i]`` of ``e[j]``
over ``j <= i``, that from input j to output i is ``dy[i] / ds[i] * de[j] / dx[j]``. So the gradient at input j is a sum
over all later places, once more a running one. As numbers that a scan takes grow from place to place beyond what an
exponential may be, it is computed from logarithms, for positive and negative gradients by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, ObserveFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.elementwise import real_operand
from seqlight.attribution.rules.mean_jacobian import VJPFunction
from seqlight.prediction.device_dtypes import widest_dtype


@as_operation
def running_logsumexp_over_last(x: Tensor) -> Tensor:
    """Return the logarithm of the running sum of exponentials over the last dimension."""
    return torch.logcumsumexp(x, -1)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Return the logarithm of the running sum of exponentials over one dimension."""
    if not input.ndim:
        return input
    y: Tensor = running_logsumexp_over_last(input.movedim(dim, -1)).movedim(-1, dim)
    return y


class RunningLogSumExp:
    """A call of :func:`running_logsumexp_over_last`."""

    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the input."""
        (x,) = real_operand(call)
        return ObserveFunction.apply(call, x), Snapshot.take(x, copy)

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the secants of exponentials and logarithms, in the backward pass."""
        (x,) = real_operand(call)
        x1, own = kept.get(), Snapshot.take(x, copy)

        def vjp(grads: Sequence[Tensor]) -> list[Tensor]:
            return [running_logsumexp_vjp(grads[0], repeat_like(x1, own.get()), own.get())]

        return VJPFunction.apply(call, vjp, x)


def running_logsumexp_vjp(grad: Tensor, x1: Tensor, x0: Tensor) -> Tensor:
    """Return the gradient at the input of the references, from that at their output.

    Parameters
    ----------
    grad, x1, x0 : torch.Tensor, shape (..., places)
        The gradient, and the inputs of sequences and references.

    Examples
    --------
    >>> x1, x0 = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 0.0, 3.0])
    >>> found = running_logsumexp_vjp(torch.tensor([0.0, 0.0, 1.0]), x1, x0)
    >>> torch.testing.assert_close((found * (x1 - x0)).sum(), x1.logsumexp(0) - x0.logsumexp(0))
    """
    wide = widest_dtype(x0.device)
    x1, x0, g = (one.to(wide) for one in (x1, x0, grad))
    larger, share = _larger_and_share(x1, x0)
    total, of_total = _larger_and_share(torch.logcumsumexp(x1, -1), torch.logcumsumexp(x0, -1))
    # Where all is masked, the sum is 0 with both, and nothing depends on it.
    weight = torch.where(total > -torch.inf, -total - of_total, -torch.inf)
    parts = (_sum_from_the_end(g.clamp_min(0).log() + weight), _sum_from_the_end(g.clamp_max(0).neg().log() + weight))
    above, below = ((one + larger + share).exp() for one in parts)
    return (above - below).to(grad.dtype)


def _larger_and_share(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return max(a, b), and what is added to it in the logarithm of the secant of exp between both."""
    d = torch.where(a == b, 0, (a - b).abs())  # equal infinities do not differ
    return torch.maximum(a, b), torch.where(d > 0, -torch.expm1(-d) / d, 1).log()


def _sum_from_the_end(x: Tensor) -> Tensor:
    return torch.logcumsumexp(x.flip(-1), -1).flip(-1)
