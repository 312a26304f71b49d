"""The rule for scaled dot-product attention: two products, half way, and a softmax between them.

The mathematics is that of ``product.py`` and ``softmax.py``. As one rule it needs less memory: nobody else sees scores
and weights, by far the largest tensors of a transformer, so theirs can be used again.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, PullbackFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import interpolate
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.attention import Operands, Recording, Settings, empty_output, require_pairs
from seqlight.attribution.kernels.buffers import empty, empty_like
from seqlight.attribution.kernels.memory_layout import are_long
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.decompositions import dropout
from seqlight.attribution.rules.logarithmic_mean import nearness
from seqlight.attribution.rules.softmax import softmax, softmax_multipliers, softmax_vjp
from seqlight.attribution.rules.softmax_secants import LogsumexpRise, softmax_secants

# At most so many scores of references, or one reference, at a time: their multipliers stay in the processor's cache.
PIECE = 2**17


class Attention:
    """A call of :func:`attend` in which query, key and value depend on the input."""

    backward: ClassVar[type[torch.autograd.Function]] = PullbackFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the operands, the scores and the weights."""
        kept: list[Snapshot | None] = []
        settings = _settings(call)

        def compute(*operands: Tensor) -> Tensor:
            mine = Operands(*operands)
            kernel = kernel_for("attention.observe", mine.query.device.type, mine.query.dtype)
            found = kernel(mine, settings) if kernel else None
            y, seen = _observe_plainly(mine, settings) if found is None else found
            own = seen.scores, seen.weights, seen.sums
            kept.extend(
                None if one is None else Snapshot.take(one, copy and not any(one is another for another in own))
                for one in seen
            )
            return y

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the mean Jacobians of both products and of the softmax, in the backward pass."""
        tensors: list[Any] = [None if one is None else one.get() for one in kept]
        seen, settings = Recording(*tensors), _settings(call)

        def compute(*operands: Tensor) -> tuple[Tensor, Function]:
            mine = Operands(*operands)
            kernel = kernel_for("attention.attend", mine.query.device.type, mine.query.dtype)
            found: tuple[Tensor, Tensor | None] | None = kernel(mine, settings) if kernel else None
            if found is None:
                return _attend_plainly(seen, mine, settings)
            require_pairs(seen, mine)
            y, sums = found
            kernel_vjp = kernel_for("attention.attention_vjp", y.device.type, y.dtype)
            assert kernel_vjp is not None
            own = [Snapshot.take(one, copy) for one in operands]
            bias = None if settings.bias is None else Snapshot.take(settings.bias, copy)

            def vjp(grad: Tensor) -> Operands:
                again = Operands(*(one.get() for one in own))
                same = Settings(None if bias is None else bias.get(), settings.scale)
                near = nearness(grad.dtype)
                gradients: Operands | None = kernel_vjp(grad, seen, again, sums, same, near)
                return _attend_plainly(seen, again, same)[1](grad) if gradients is None else gradients

            return y, vjp

        return PullbackFunction.apply(compute, *call.tensors)


@as_operation
def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Return the values of all positions, averaged with the softmax of the scores as weights.

    Parameters
    ----------
    query, key, value : torch.Tensor, shapes (..., positions, width), with equal leading dimensions
    bias : torch.Tensor, optional
        Added to the scores; minus infinity hides a position.
    scale : float
        What the scores are multiplied by.
    """
    return torch.softmax(_scores(query, key, bias, scale), -1) @ value


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return PyTorch's attention: as one operation if possible, otherwise as two products and a softmax."""
    if enable_gqa:
        key, value = (one.repeat_interleave(query.shape[-3] // one.shape[-3], -3) for one in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    given = attn_mask is not None
    if is_causal:  # each query sees the first key
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -math.inf)
    if attn_mask is not None and given:
        # A query from which every key is hidden gets zeros. Whether there is one is not asked where that would wait.
        blind = (attn_mask == -math.inf).all(dim=-1, keepdim=True)
        if not blind.is_cpu or bool(blind.any()):
            y = _attention(query, key, value, attn_mask.masked_fill(blind, 0), dropout_p, scale)
            return y.masked_fill(blind, 0)
    return _attention(query, key, value, attn_mask, dropout_p, scale)


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, dropout_p: float, scale: float
) -> Tensor:
    if not dropout_p and can_attend(query, key, value, attn_mask):
        return attend(query, key, value, attn_mask, scale)  # type: ignore[no-any-return]
    # The queries are scaled rather than the scores, which are more.
    scores = (query * scale) @ key.transpose(-2, -1)
    scores = scores if attn_mask is None else scores + attn_mask
    return dropout(softmax(scores, -1), dropout_p) @ value


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Function, tuple[Any, ...]] | None:
    """Return :func:`attend` and its arguments, if that is what a call of PyTorch's attention is, or None."""
    if attn_mask is not None or dropout_p or is_causal or enable_gqa or not can_attend(query, key, value, None):
        return None
    return attend, (query, key, value, None, 1 / math.sqrt(query.shape[-1]) if scale is None else scale)


def can_attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Return whether :func:`attend` does a call of PyTorch's attention."""
    each = (query, key, value)
    return (
        all(one.requires_grad and one.dtype == query.dtype and one.ndim == query.ndim > 2 for one in each)
        and all(one.shape[:-2] == query.shape[:-2] for one in each)
        and query.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled(query.device.type)
        and not (mask is not None and mask.requires_grad)
    )


def _settings(call: Call) -> Settings:
    (_, _, _, bias, scale), _ = call.arguments()
    return Settings(bias, scale)


def _observe_plainly(operands: Operands, settings: Settings) -> tuple[Tensor, Recording]:
    q, k, v = (one.contiguous() for one in operands)
    scores = _scores(q, k, *settings)
    p = torch.softmax(scores, -1)
    y = empty_output(operands).copy_(p @ v)
    return y, Recording(q, k, v, scores, p, scores.logsumexp(-1))


def _attend_plainly(seen: Recording, operands: Operands, settings: Settings) -> tuple[Tensor, Function]:
    # Heads are views of wider tensors, which each product would copy again.
    q, k, v = (one.contiguous() for one in operands)
    shape = torch.Size([*q.shape[:-1], k.shape[-2]])
    scores = _scores(q, k, *settings, empty(shape, q))
    p = torch.softmax(scores, -1, out=empty(shape, q))
    query, key, value = (interpolate(a, b, 0.5) for a, b in zip(seen[:3], (q, k, v), strict=True))
    recorded = _scores_and_weights(seen, settings.scale)

    def vjp(grad: Tensor) -> Operands:
        return _pull_plainly(grad.contiguous(), Operands(query, key, value), recorded, (scores, p), settings)

    return empty_output(operands).copy_(p @ v), vjp


def _scores_and_weights(seen: Recording, scale: float) -> tuple[Tensor, Tensor]:
    """Return what was recorded, or computed by a kernel that did not keep it."""
    if seen.scores is not None and seen.weights is not None:
        return seen.scores, seen.weights
    scores = _scores(seen.query, seen.key, seen.bias, scale)
    return scores, torch.softmax(scores, -1)


def _scores(q: Tensor, k: Tensor, bias: Tensor | None, scale: float, out: Tensor | None = None) -> Tensor:
    # The queries are scaled rather than the scores, which are more.
    scores = (q * scale) @ k.mT if out is None else _product(q * scale, k.mT, out)
    return scores if bias is None else scores.add_(bias)


def _product(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """Return the products of matrices in `out`: ``matmul(out=...)`` would make them elsewhere and copy."""
    torch.bmm(a.flatten(0, -3), b.flatten(0, -3), out=out.view(-1, *out.shape[-2:]))
    return out


def _pull_plainly(
    g: Tensor, mean: Operands, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], settings: Settings
) -> Operands:
    """Return the gradients at the operands for `g`, the gradient at the result; `mean` are the operands half way.

    Multipliers are as large as the scores, and each is used once: they are made here, in the backward pass.
    """
    at_weights = empty_like(reference[0])
    kernel = kernel_for("softmax.softmax_vjp_in_place", g.device.type, g.dtype)
    if kernel is None and are_long(recorded[0], at_weights):
        return _pull_in_pieces(g, mean, recorded, reference, settings)
    _product(g, mean.value.mT, at_weights)
    half: Tensor | None = kernel(at_weights, recorded, reference, nearness(g.dtype)) if kernel else None
    if half is None:
        dim = g.ndim - 1
        at_weights = softmax_vjp(at_weights, *softmax_multipliers(recorded, reference, dim), dim)
        half = interpolate(recorded[1], reference[1], 0.5)
    at_query, at_key = (at_weights @ mean.key).mul_(settings.scale), (at_weights.mT @ mean.query).mul_(settings.scale)
    return Operands(at_query, at_key, half.mT @ g)


def _pull_in_pieces(
    g: Tensor, mean: Operands, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], settings: Settings
) -> Operands:
    """Return the same for a few references at a time, so that nothing as large as the scores leaves the cache."""
    x1, dim = recorded[0], g.ndim - 1
    rows = max(1, PIECE // x1.numel()) * len(x1)
    rises = LogsumexpRise.between(recorded, reference, dim).split(rows)
    found = Operands(*(torch.empty_like(one) for one in mean))
    pieces = zip(*(torch.split(one, rows) for one in (g, *mean, *reference, *found)), strict=True)
    room, hidden = empty(torch.Size([rows, *x1.shape[1:]]), x1), settings.bias is not None
    for rise, (some, query, key, value, x0, p0, at_query, at_key, at_value) in zip(rises, pieces, strict=True):
        grad = _product(some, value.mT, room[: len(x0)])
        weights, slope, half = softmax_secants(recorded, (x0, p0), rise, dim, hidden=hidden)
        grad.mul_(slope).addcmul_(weights, grad.sum(dim=dim, keepdim=True), value=-1)
        _product(grad, key, at_query).mul_(settings.scale)
        _product(grad.mT, query, at_key).mul_(settings.scale)
        _product(half.mT, some, at_value)
    return found
