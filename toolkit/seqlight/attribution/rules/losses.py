"""Losses, written in simpler operations that have rules, for models that compute one of their own output.

``torch.nn.functional`` checks the arguments of a loss in Python and then calls one function in C++. These functions
stand in for the latter. A `reduction` of 0 keeps all losses, 1 takes their mean, 2 their sum.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Function
from seqlight.attribution.rules.norms import cosine_similarity, pairwise_distance
from seqlight.attribution.rules.special_functions import elementwise


def reduce(y: Tensor, reduction: int) -> Tensor:
    """Return all losses, their mean, or their sum."""
    return y if reduction == 0 else y.mean() if reduction == 1 else y.sum()


def _loss_of_difference(function: Function, input: Tensor, target: Tensor, reduction: int) -> Tensor:
    d = input - target
    return reduce(elementwise(d, lambda d: function(d, torch.zeros_like(d))), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """Return the absolute difference."""
    return reduce(torch.abs(input - target), reduction)


def mse_loss(input: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """Return the squared difference."""
    return reduce(torch.square(input - target), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: int = 1, beta: float = 1.0) -> Tensor:
    """Return the absolute difference, smoothed near 0."""
    loss = functools.partial(F.smooth_l1_loss, reduction="none", beta=beta)
    return _loss_of_difference(loss, input, target, reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: int = 1, delta: float = 1.0) -> Tensor:
    """Return half the squared difference, continued linearly from `delta`."""
    loss = functools.partial(F.huber_loss, reduction="none", delta=delta)
    return _loss_of_difference(loss, input, target, reduction)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """Return the softplus of ``-target * input``."""
    return reduce(F.softplus(-target * input), reduction)


def kl_div(input: Tensor, target: Tensor, reduction: int = 1, *, log_target: bool = False) -> Tensor:
    """Return the Kullback-Leibler divergence of `target` from `input`, which is in logarithms."""
    if log_target:
        return reduce(torch.exp(target) * (target - input), reduction)
    return reduce(_entropy(target) - target * input, reduction)


def _entropy(p: Tensor) -> Tensor:
    def flat_at_zero(p: Tensor) -> Tensor:  # where its slope is infinite
        some = torch.where(p == 0, 1, p)
        return torch.where(p == 0, 0 * p, some * torch.log(some))

    y: Tensor = elementwise(p, flat_at_zero)
    return y


def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    """Return the cross entropy of probabilities."""
    yes, no = (elementwise(p, lambda p: torch.log(p).clamp_min(-100)) for p in (input, 1 - input))
    y = -(target * yes + (1 - target) * no)
    return reduce(y if weight is None else y * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:
    """Return the cross entropy of logits."""
    yes = F.softplus(-input) * target
    y = (yes if pos_weight is None else yes * pos_weight) + (1 - target) * F.softplus(input)
    return reduce(y if weight is None else y * weight, reduction)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """Return the negative log likelihood of a Poisson distribution."""
    y = torch.exp(input) - target * input if log_input else input - target * torch.log(input + eps)
    if full:
        y = y + elementwise(target, _stirling)
    return reduce(y, reduction)


def _stirling(count: Tensor) -> Tensor:
    y = torch.xlogy(count, count) - count + 0.5 * torch.log(2 * math.pi * count)
    return y.masked_fill(count <= 1, 0)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 1) -> Tensor:
    """Return the distance of pairs that belong together, and what other pairs lack of the margin."""
    y = torch.where(target == 1, input, torch.zeros_like(input))
    return reduce(y + torch.where(target == -1, torch.relu(margin - input), torch.zeros_like(input)), reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Tensor:
    """Return what the difference lacks of the margin."""
    return reduce(torch.relu(margin - target * (input1 - input2)), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Tensor:
    """Return the cosine distance of pairs that belong together, and what other pairs exceed the margin by."""
    cosine = cosine_similarity(input1, input2, target.ndim, 1e-6)
    y = torch.where(target == 1, 1 - cosine, torch.zeros_like(cosine))
    return reduce(y + torch.where(target == -1, torch.relu(cosine - margin), torch.zeros_like(cosine)), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 1,
) -> Tensor:
    """Return what the difference of two distances lacks of the margin."""
    to_positive = pairwise_distance(anchor, positive, p, eps)
    to_negative = pairwise_distance(anchor, negative, p, eps)
    if swap:
        to_negative = torch.minimum(to_negative, pairwise_distance(positive, negative, p, eps))
    return reduce(torch.relu(margin + to_positive - to_negative), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:
    """Return what the right class lacks of the margin over every other class."""
    at = target.reshape(*input.shape[:-1], 1)  # of a single row the target may have one dimension or none
    y = torch.relu(margin - input.gather(-1, at) + input)
    y = (y if p == 1 else torch.square(y)).masked_fill(F.one_hot(at[..., 0], input.shape[-1]).bool(), 0)
    y = y if weight is None else y * weight[at]
    return reduce(y.mean(-1).reshape(target.shape), reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
    """Return what each right class lacks of a margin of 1 over each wrong one."""
    listed = (target >= 0).to(torch.uint8).cumprod(-1).bool()  # the classes before the first negative number
    at = target.clamp_min(0)
    right = torch.zeros_like(input, dtype=torch.int64).scatter_add_(-1, at, listed.long()).bool()
    y = torch.relu(1 - input.gather(-1, at).unsqueeze(-1) + input.unsqueeze(-2))
    counts = (listed.unsqueeze(-1) & ~right.unsqueeze(-2)).to(y.dtype)
    return reduce((y * counts).sum((-2, -1)) / input.shape[-1], reduction)


def cross_entropy_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross entropy of logits, with classes or with probabilities of classes."""
    dim, shape = (0, (-1,)) if input.ndim == 1 else (1, (1, -1, *[1] * (input.ndim - 2)))
    logs, n = torch.log_softmax(input, dim), input.shape[dim]
    weighted = logs if weight is None else logs * weight.reshape(shape)
    if target.is_floating_point():
        y = -(weighted * (target * (1 - label_smoothing) + label_smoothing / n)).sum(dim)
        return y.sum() / (input.numel() / n) if reduction == 1 else reduce(y, reduction)
    y = F.nll_loss(logs, target, weight, None, ignore_index, None, ("none", "mean", "sum")[reduction])
    if not label_smoothing:
        return y
    counted = target != ignore_index
    smooth = torch.where(counted, -weighted.sum(dim), torch.zeros((), dtype=logs.dtype, device=logs.device))
    if reduction == 1:
        of = counted.to(logs.dtype) if weight is None else weight[target.masked_fill(~counted, 0)] * counted
        smooth = smooth.sum() / of.sum()
    else:
        smooth = reduce(smooth, reduction)
    return (1 - label_smoothing) * y + label_smoothing / n * smooth
