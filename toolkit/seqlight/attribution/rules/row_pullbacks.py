"""What goes back through an operation on rows, as a differentiable function: maxima, softmax, attention, layer norm.

As in ``pullbacks.py``: the multipliers of ``pooling.py``, ``order_statistics.py``, ``softmax.py`` and ``layer_norm.py``
in formulas that autograd can differentiate. Which position gets the credit of a maximum is a choice, not a number:
where two positions tie, the derivative is that of the one that is credited.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.attention_multiplier import AttentionMultiplierFunction, recording_of
from seqlight.attribution.rules.elementwise import smallest_step
from seqlight.attribution.rules.first_maxima import tie_of
from seqlight.attribution.rules.layer_norm_multiplier import LayerNormMultiplierFunction, Moments, kept_moments
from seqlight.attribution.rules.multiplier_functions import MaximumFunction
from seqlight.attribution.rules.order_statistics import Row, Selection
from seqlight.attribution.rules.pooled_windows import window_of
from seqlight.attribution.rules.pooling import MaxPool, cross_maximum
from seqlight.attribution.rules.pullbacks import Observed
from seqlight.attribution.rules.softmax import Softmax
from seqlight.attribution.rules.softmax_multiplier import SoftmaxMultiplierFunction, softmax_ratios


def max_pool(rule: MaxPool, sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient at the input of max pooling: that of each window at the winner, times its multiplier."""
    (x0,), (x1,) = reference.operands, sequence.operands
    (y0, at0), (y1, at1) = reference.results, sequence.results
    x1, y1, at1 = (repeat_like(one, its) for one, its in ((x1, x0), (y1, y0), (at1, at0)))
    with torch.no_grad():
        recorded, own = (tuple(one.detach() for one in row) for row in ((x1, y1, at1), (x0, y0, at0)))
        window = None if reference.call.returns_indices else window_of(reference.call)
        kernel = kernel_for("pooling.max_pool", x0.device.type, x0.dtype) if window else None
        found = kernel(recorded, own[0], window, smallest_step(x0.dtype), tie_of(x0.dtype)) if kernel else None
        found = found or cross_maximum(recorded, own, rule.n_pooled, window)  # type: ignore[arg-type]
        *_, winners, known = found
    lead = x0.ndim - rule.n_pooled
    tensors = x1, x0, y1, y0, winners.long(), known, grads[0]
    return [_credit(*(one.flatten(lead) for one in tensors)).view(x0.shape)]


def select(rule: Selection, sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient at the rows of a selection: that of each result at the value it is credited to."""
    (x0,), (x1,) = reference.operands, sequence.operands
    (y0, at0), (y1, at1) = reference.results, sequence.results
    x1, y1, at1 = (repeat_like(one, its) for one, its in ((x1, x0), (y1, y0), (at1, at0)))
    with torch.no_grad():
        winners = rule.choose(Row(x1, y1, at1), Row(x0, y0, at0))
    return [_credit(x1, x0, y1, y0, winners, None, grads[0])]


def _credit(
    x1: Tensor, x0: Tensor, y1: Tensor, y0: Tensor, winners: Tensor, known: Tensor | None, grad: Tensor
) -> Tensor:
    """Return `grad` times the multiplier of each result, added up at its winner in the last dimension."""
    return MaximumFunction.apply(winners, known, grad, x1, x0, y1, y0)  # type: ignore[no-any-return]


def softmax(rule: Softmax, sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient at the input of softmax, log_softmax or logsumexp."""
    (x0, dim), _ = reference.call.arguments()
    dim, (grad,) = int(dim) % x0.ndim, grads
    x1 = repeat_like(sequence.operands[0], x0)
    if rule.kind == "softmax":
        p0 = reference.results[0].detach()
        p1 = repeat_like(sequence.results[0].detach(), p0)
        return [SoftmaxMultiplierFunction.apply(dim, grad, x1, x0, p1, p0)]
    weights, _ = softmax_ratios(x1, x0, dim)
    if rule.kind == "logsumexp":
        return [grad.unsqueeze(dim) * weights]
    return [grad - weights * grad.sum(dim, keepdim=True)]


def layer_norm(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient at the input of layer norm, by the closed form."""
    (_, weight, _, eps), _ = reference.call.arguments()
    (x1,), (x0,) = sequence.operands, reference.operands
    known = _repeat_moments(kept_moments(sequence.results[0]), x0), kept_moments(reference.results[0])
    return [LayerNormMultiplierFunction.apply(eps, known, weight, grads[0], repeat_like(x1, x0), x0)]


def _repeat_moments(of: Moments | None, like: Tensor) -> Moments | None:
    if of is None or of[0].shape == like.shape:
        return of
    x, *rest = of
    mean, rate = (repeat_like(one, like[..., :1]) for one in rest)
    return repeat_like(x, like), mean, rate


def attention(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients at query, key and value of attention, by the loops."""
    (bias1, scale), (bias0, _) = (one.call.arguments()[0][3:] for one in (sequence, reference))
    seen, own = (recording_of(one.call, one.results[0]) for one in (sequence, reference))
    of = grads[0], *sequence.operands, *reference.operands
    return list(AttentionMultiplierFunction.apply((bias1, bias0), scale, seen, own, *of))
