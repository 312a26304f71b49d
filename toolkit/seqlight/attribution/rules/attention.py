"""The rule for scaled dot-product attention: two products half way, and a softmax between them.

Nothing here is not in the rules for products and softmax. Together they know that nobody else sees the
scores and weights, which are by far the largest tensors of a transformer, so these need memory of their
own only once.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, Observed, Pulled
from seqlight.attribution.calls.function_bodies import operation
from seqlight.attribution.calls.pairs import between
from seqlight.attribution.calls.record import Recorded
from seqlight.attribution.kernels.attention import Operands, Recording, Settings, empty_output, require_pairs
from seqlight.attribution.kernels.buffers import empty, empty_like
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.elementwise import threshold
from seqlight.attribution.rules.softmax import softmax_multipliers, softmax_vjp


class Attention:
    """A call of :func:`attended` in which query, key and value depend on the input."""

    backward: ClassVar[type[torch.autograd.Function]] = Pulled

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the operands, the scores and the weights."""
        kept: list[Recorded] = []
        settings = _settings(call)

        def compute(*operands: Tensor) -> Tensor:
            mine = Operands(*operands)
            kernel = kernel_for("attention.observe", mine.query.device.type, mine.query.dtype)
            found = kernel(mine, settings) if kernel else None
            y, seen = _observe(mine, settings) if found is None else found
            kept.extend(Recorded.of(one, copy and i < 3) for i, one in enumerate(seen))
            return y

        return Observed.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Go half way through both products, and take the secants of the softmax."""
        seen, settings = Recording(*(one.get() for one in kept)), _settings(call)

        def compute(*operands: Tensor) -> tuple[Tensor, Function]:
            mine = Operands(*operands)
            kernel = kernel_for("attention.attend", mine.query.device.type, mine.query.dtype)
            y: Tensor | None = kernel(mine, settings) if kernel else None
            if y is None:
                return _attend(seen, mine, settings)
            require_pairs(seen, mine)
            vjp = kernel_for("attention.attention_vjp", y.device.type, y.dtype)
            assert vjp is not None
            own = [Recorded.of(one, copy) for one in operands]
            bias = None if settings.bias is None else Recorded.of(settings.bias, copy)

            def pull(grad: Tensor) -> Operands:
                again = Operands(*(one.get() for one in own))
                same = Settings(None if bias is None else bias.get(), settings.scale)
                return vjp(grad, seen, again, same, threshold(grad.dtype))  # type: ignore[no-any-return]

            return y, pull

        return Pulled.apply(compute, *call.tensors)


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


def _settings(call: Call) -> Settings:
    (_, _, _, bias, scale), _ = call.arguments()
    return Settings(bias, scale)


def _observe(operands: Operands, settings: Settings) -> tuple[Tensor, Recording]:
    q, k, v = (one.contiguous() for one in operands)
    scores = _scores(q, k, *settings)
    p = torch.softmax(scores, -1)
    y = empty_output(operands).copy_(p @ v)
    return y, Recording(q, k, v, scores, p, scores.logsumexp(-1))


def _attend(seen: Recording, operands: Operands, settings: Settings) -> tuple[Tensor, Function]:
    # Heads are views of wider tensors, which each product would lay out anew.
    q, k, v = (one.contiguous() for one in operands)
    shape = torch.Size([*q.shape[:-1], k.shape[-2]])
    scores = _scores(q, k, *settings, empty(shape, q))
    p = torch.softmax(scores, -1, out=empty(shape, q))
    query, key, value = (between(a, b, 0.5) for a, b in zip(seen[:3], (q, k, v), strict=True))

    def pull(grad: Tensor) -> Operands:
        g = grad.contiguous()
        at_weights = _product(g, value.mT, empty_like(p))
        at_scores, half = _through_softmax(at_weights, (seen.scores, seen.weights), (scores, p))
        at_query, at_key = (at_scores @ key).mul_(settings.scale), (at_scores.mT @ query).mul_(settings.scale)
        return Operands(at_query, at_key, half.mT @ g)

    return empty_output(operands).copy_(p @ v), pull


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
    kernel = kernel_for("softmax.softmax_vjp_in_place", grad.device.type, grad.dtype)
    mean: Tensor | None = kernel(grad, recorded, reference, threshold(grad.dtype)) if kernel else None
    if mean is not None:
        return grad, mean
    dim = grad.ndim - 1
    multipliers = softmax_multipliers(recorded, reference, dim)
    return softmax_vjp(grad, *multipliers, dim), between(recorded[1], reference[1], 0.5)
