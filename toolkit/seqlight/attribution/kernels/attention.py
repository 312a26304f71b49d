"""Compiled attention of float32, a head at a time: ``native/attention.c``. The plain twin is ``rules/attention.py``.

Scores and weights of the references, the largest tensors of a transformer, are never in memory. A row is computed with
the same bits whatever rows are beside it, so where a reference equals its sequence, so do their scores.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.partners import batch_dimension
from seqlight.attribution.kernels.memory_layout import fills
from seqlight.errors import UnsupportedOperation
from seqlight.native.threads import run


class Operands(NamedTuple):
    """The operands of attention, of shapes (..., positions, width) with equal leading dimensions."""

    query: Tensor
    key: Tensor
    value: Tensor


class Recording(NamedTuple):
    """What is recorded of the sequences: their operands, and what the backend that made it needs.

    The compiled loops and plain PyTorch need contiguous operands, scores, weights, and float64 logsumexps of the
    scores; kernels in Triton need the bias, and of each row of scores the largest and the sum of exponentials.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scores: Tensor | None
    weights: Tensor | None
    sums: Tensor
    bias: Tensor | None = None


class Settings(NamedTuple):
    """What is added to the scores, and what they are multiplied by."""

    bias: Tensor | None
    scale: float


def suits(operands: Operands, bias: Tensor | None) -> bool:
    """Return whether the loops take these operands."""
    return (
        all(one.dtype == torch.float32 and one.is_cpu and one.numel() > 0 for one in operands)
        and all(one.layout == torch.strided and not one.is_neg() for one in operands)
        and (bias is None or (type(bias) in (Tensor, nn.Parameter) and bias.dtype == torch.float32 and bias.is_cpu))
    )


def observe(operands: Operands, settings: Settings) -> tuple[Tensor, Recording] | None:
    """Return the attention of the sequences, and what to record of them; or None."""
    if not suits(operands, settings.bias):
        return None
    query, key, value = (one.contiguous() for one in operands)  # as attention_vjp takes them
    shape = query.shape[:-1]
    scores = query.new_empty((*shape, key.shape[-2]))
    seen = Recording(query, key, value, scores, torch.empty_like(scores), query.new_empty(shape, dtype=torch.float64))
    return _forward(Operands(query, key, value), settings, seen), seen


def attend(operands: Operands, settings: Settings) -> tuple[Tensor, None] | None:
    """Return the attention of the references, of which nothing is kept; or None."""
    return (_forward(operands, settings, None), None) if suits(operands, settings.bias) else None


def attention_vjp(
    grad: Tensor, seen: Recording, operands: Operands, sums: None, settings: Settings, nearness: float
) -> Operands:
    """Return the gradients at query, key and value of the references, for `grad`, that at their attention.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., positions, width)
    seen : Recording
        What :func:`observe` returned for the sequences.
    operands : Operands
        Those of the references.
    sums : None
        What :func:`attend` returned beside their attention.
    settings : Settings
        Those that it was called with.
    nearness : float
        The square of the step at which the quotient and the mean of two softmaxes count the same.
    """
    require_pairs(seen, operands)
    mine, g, bias = Operands(*map(heads, operands)), heads(grad), _bias_of_heads(settings.bias, operands)
    found = empty_gradients(operands)
    at = Operands(*(one if one.ndim == 4 else one.view(-1, *of.shape[1:]) for one, of in zip(found, mine, strict=True)))
    numbers = *_sizes(mine, g, bias, at, head_pairs(seen.query, operands.query)), settings.scale, nearness
    count = operands.query.shape[:-2].numel()
    run("attention_backward", (g, *mine, bias, *seen[:6], *found), numbers, count, _count_scores(operands))
    return found


def empty_output(operands: Operands) -> Tensor:
    """Return an empty output, laid out as PyTorch's own: with positions before heads in memory, if there are heads."""
    query, _, value = operands
    if query.ndim == 4 and query.shape[-1] == value.shape[-1]:
        heads, positions, width = query.shape[1:]
        # No view, because a model may write to it.
        return query.new_empty_strided(query.shape, (positions * heads * width, width, heads * width, 1))
    return query.new_empty((*query.shape[:-1], value.shape[-1]))


def _forward(operands: Operands, settings: Settings, seen: Recording | None) -> Tensor:
    out = empty_output(operands)
    y = heads(out)
    mine, bias = Operands(*map(heads, operands)), _bias_of_heads(settings.bias, operands)
    numbers = *_sizes(mine, y, bias, None, (1, 1)), settings.scale, 0
    kept = (None, None, None) if seen is None else (seen.scores, seen.weights, seen.sums)
    run("attention_forward", (*mine, bias, y, *kept), numbers, out.shape[:-2].numel(), _count_scores(operands))
    return out


def empty_gradients(operands: Operands) -> Operands:
    """Return empty gradients: slices of one tensor, in the same order, if that is what the operands are."""
    first, storage = operands.query, operands.query.untyped_storage()
    step = int(operands.key.storage_offset())
    slices = all(
        (x.shape, x.stride(), x.storage_offset()) == (first.shape, first.stride(), i * step)
        and x.untyped_storage().data_ptr() == storage.data_ptr()
        for i, x in enumerate(operands)
    )
    if not (slices and first.ndim == 4 and first.stride(-1) == 1 and step and 3 * first.nbytes == storage.nbytes()):
        return Operands(*(x.new_empty(x.shape) for x in operands))
    if not fills((3, *first.shape), (step, *first.stride())):
        return Operands(*(x.new_empty(x.shape) for x in operands))
    whole = first.new_empty(3 * first.numel())
    return Operands(*(whole.as_strided(first.shape, first.stride(), i * step) for i in range(3)))


def _count_scores(operands: Operands) -> int:
    """Return how many scores there are."""
    return operands.query.shape[:-1].numel() * operands.key.shape[-2]


def heads(one: Tensor) -> Tensor:
    """Return `one` in shape (outer, heads, positions, width) with a last stride of 1: a view, or if need be a copy."""
    if one.stride(-1) != 1 and one.shape[-1] > 1:
        one = one.contiguous()
    if one.ndim == 3:
        return one.unsqueeze(1)
    return one if one.ndim == 4 else one.contiguous().flatten(0, -4)


def _bias_of_heads(bias: Tensor | None, operands: Operands) -> Tensor | None:
    """Return the bias for each head."""
    if bias is None:
        return None
    keys = operands.key.shape[-2]
    full = bias.contiguous().expand(*operands.query.shape[:-1], keys)
    return heads(full if full.stride(-1) == 1 else full.contiguous())


def require_pairs(seen: Recording, operands: Operands) -> None:
    """Raise UnsupportedOperation unless the references have more heads than their sequences, and nothing else more."""
    dimensions = {batch_dimension(one, other) for one, other in zip(seen[:3], operands, strict=True)}
    at = next(iter(dimensions))
    if len(dimensions) > 1 or (at is not None and at[0] >= operands.query.ndim - 2):
        raise UnsupportedOperation(
            f"attention got queries and keys of shapes {tuple(seen.query.shape)} and {tuple(seen.key.shape)} of the "
            f"sequences, {tuple(operands.query.shape)} and {tuple(operands.key.shape)} of their references: expected "
            "them to differ in the batch dimension alone; a model that mixes the rows of a batch cannot be explained."
        )


def head_pairs(recorded: Tensor, reference: Tensor) -> tuple[int, int]:
    """Return the span and n of :mod:`memory_layout`, counted in heads."""
    at = batch_dimension(recorded, reference)
    if at is None:
        return recorded.shape[:-2].numel(), 1
    dimension, n = at
    return math.prod(recorded.shape[dimension:-2]), n


def _sizes(
    operands: Operands, y: Tensor, bias: Tensor | None, gradients: Operands | None, pairs: tuple[int, int]
) -> list[int]:
    """Return the sizes and strides that attention.c asks for, in its order."""
    q, k, v = operands
    laid = q, k, v, y, bias, *(gradients or (None, None, None))
    strides = [(0, 0, 0) if one is None else one.stride()[:3] for one in laid]
    flat = [number for each in strides for number in each]
    return [q.shape[1], q.shape[2], k.shape[2], q.shape[3], v.shape[3], *flat, *pairs]
