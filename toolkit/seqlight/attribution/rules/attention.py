"""The rule for scaled dot-product attention: two products half way, and a softmax between them.

Nothing here is not in the rules for products and softmax. Together they know that nobody else sees the
scores and weights, which are by far the largest tensors of a transformer, so these need memory of their
own only once.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.arena import empty, empty_like
from seqlight.attribution.calls.opening import operation
from seqlight.attribution.calls.pairing import between
from seqlight.attribution.calls.recording import Call, Observed, Recorded, apply
from seqlight.attribution.rules import loops
from seqlight.attribution.rules.elementwise import threshold
from seqlight.attribution.rules.normalisers import softmax_multipliers, softmax_pull


class Attended(torch.autograd.Function):
    """Attention whose way back goes through both products half way, and through the secants of the softmax."""

    @staticmethod
    def forward(ctx: Any, compute: Any, scale: float, scores1: Tensor, p1: Tensor, *operands: Tensor) -> Tensor:
        """Return the output, and keep what the way back needs."""
        y, *kept = compute(*(one.detach() for one in operands))
        ctx.save_for_backward(scores1, p1, *kept)
        ctx.scale = scale
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        scores1, p1, scores0, p0, q, k, v = ctx.saved_tensors
        g = grads[0].contiguous()
        at_weights = _product(g, v.mT, empty_like(p0))
        at_scores, half = _through_softmax(at_weights, (scores1, p1), (scores0, p0))
        at_query, at_key = (at_scores @ k).mul_(ctx.scale), (at_scores.mT @ q).mul_(ctx.scale)
        return None, None, None, None, at_query, at_key, half.mT @ g


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
            return p0 @ v0, scores0, p0, *(between(a, b, 0.5) for a, b in ((q1, q0), (k1, k0), (v1, v0)))

        return apply(Attended, compute, scale, scores1, p1, *call.tensors)


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


def _through_softmax(
    grad: Tensor, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the gradient at the scores for that at the weights, which may be lost; and the weights half way.

    The multipliers are as large as the scores, and each is used once: they are made here, on the way back.
    """
    half = loops.attention_gradients(grad, recorded, reference, threshold(grad.dtype))
    if half is not None:
        return grad, half
    dim = grad.ndim - 1
    multipliers = softmax_multipliers(recorded, reference, dim)
    return softmax_pull(grad, *multipliers, dim), between(recorded[1], reference[1], 0.5)
