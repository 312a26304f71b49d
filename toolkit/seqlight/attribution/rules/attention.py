"""The rule for scaled dot-product attention: two products half way, and a softmax between them.

Nothing here is not in the rules for products and softmax. Together they know that nobody else sees the
scores and weights, which are by far the largest tensors of a transformer, so these need memory of their
own only once.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.arena import empty
from seqlight.attribution.calls.opening import operation
from seqlight.attribution.calls.pairing import between, split
from seqlight.attribution.calls.recording import Call, Observed, Recorded, apply
from seqlight.attribution.rules.normalisers import softmax_multipliers, softmax_pull


class Attended(torch.autograd.Function):
    """Attention whose way back goes through both products half way."""

    @staticmethod
    def forward(ctx: Any, compute: Any, scale: float, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the output, and keep what the way back needs."""
        y, *kept = compute(q.detach(), k.detach(), v.detach())
        ctx.save_for_backward(*kept)
        ctx.scale = scale
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        q, k, v, p, weights, slope = ctx.saved_tensors
        g = grads[0].contiguous()
        at_scores = softmax_pull(g @ v.mT, weights, slope, p.ndim - 1, over=True)
        return None, None, (at_scores @ k).mul_(ctx.scale), (at_scores.mT @ q).mul_(ctx.scale), p.mT @ g


class Attention:
    """A call of :func:`attended` in which query, key and value depend on the input."""

    backward: ClassVar[type[torch.autograd.Function]] = Attended

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the operands, the scores and the weights."""
        kept: list[Recorded] = []
        (_, _, _, bias, scale), _ = call.arguments()

        def compute(*operands: Tensor) -> Tensor:
            q, k, v = (one.contiguous() for one in operands)
            scores = _scores(q, k, bias, scale)
            p = torch.softmax(scores, -1)
            kept.extend(Recorded.of(one, copy) for one in (q, k, v))
            kept.extend(Recorded.of(one, False) for one in (scores, p))
            return p @ v

        return apply(Observed, compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Go half way through both products, and take the secants of the softmax."""
        q1, k1, v1, scores1, p1 = (one.get() for one in kept)
        (_, _, _, bias, scale), _ = call.arguments()

        def compute(*operands: Tensor) -> tuple[Tensor, ...]:
            # Heads are views of wider tensors, which each product would lay out anew.
            q0, k0, v0 = (one.contiguous() for one in operands)
            shape = torch.Size([*q0.shape[:-1], k0.shape[-2]])
            scores0 = _scores(q0, k0, bias, scale, empty(shape, q0))
            p0 = torch.softmax(scores0, -1, out=empty(shape, q0))
            y0 = p0 @ v0
            weights, slope = softmax_multipliers((scores1, p1), (scores0, p0), p0.ndim - 1)
            return y0, *(between(a, b, 0.5) for a, b in ((q1, q0), (k1, k0), (v1, v0))), _half(p1, p0), weights, slope

        return apply(Attended, compute, scale, *call.tensors)


@operation
def attended(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Return the mean of the values of all positions, weighted by a softmax over scores.

    Parameters
    ----------
    query, key, value : torch.Tensor, shapes (..., positions, width), with equal leading dimensions
    bias : torch.Tensor, optional
        Added to the scores; minus infinity where a position is not to be seen.
    scale : float
        Of the scores.
    """
    return torch.softmax(_scores(query, key, bias, scale), -1) @ value


def _scores(q: Tensor, k: Tensor, bias: Tensor | None, scale: float, out: Tensor | None = None) -> Tensor:
    # The queries are scaled, not the scores, of which there are more.
    scores = (q * scale) @ k.mT if out is None else _product(q * scale, k.mT, out)
    return scores if bias is None else scores.add_(bias)


def _product(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Return the products of matrices, in the memory of `out`: that of matmul would be copied there."""
    torch.bmm(a.flatten(0, -3), b.flatten(0, -3), out=out.view(-1, *out.shape[-2:]))
    return out


def _half(recorded: Tensor, reference: Tensor) -> Tensor:
    """Return what lies half way, in the memory of `reference`."""
    a, b = split(recorded, reference)
    torch.lerp(b, a, 0.5, out=b)
    return reference
