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

    The compiled loops and plain PyTorch need operands, scores, weights, and float64 logsumexps of the
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
    return record(Operands(*(one.contiguous() for one in operands)), settings)  # near to each other


def record(operands: Operands, settings: Settings) -> tuple[Tensor, Recording]:
    """Return the attention of operands that the loops take, and what to record of them."""
    shape = operands.query.shape[:-1]
    scores = operands.query.new_empty((*shape, operands.key.shape[-2]))
    seen = Recording(*operands, scores, torch.empty_like(scores), scores.new_empty(shape, dtype=torch.float64))
    return _forward(operands, settings, seen), seen


def attend(operands: Operands, settings: Settings) -> tuple[Tensor, None] | None:
    """Return the attention of the references, of which nothing is kept; or None."""
    return (_forward(operands, settings, None), None) if suits(operands, settings.bias) else None


def attention_vjp(
    grad: Tensor, seen: Recording, operands: Operands, sums: Recording | None, settings: Settings, nearness: float
) -> Operands:
    """Return the gradients at query, key and value of the references, for `grad`, that at their attention.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., positions, width)
    seen : Recording
        What :func:`observe` returned for the sequences.
    operands : Operands
        Those of the references.
    sums : Recording, optional
        What :func:`attend` or :func:`record` returned beside their attention.
    settings : Settings
        Those that it was called with.
    nearness : float
        The square of the step at which the quotient and the mean of two softmaxes count the same.
    """
    require_pairs(seen, operands)
    mine, mates = (Operands(*map(heads, one)) for one in (operands, seen[:3]))
    g, bias, found = heads(grad), bias_of_heads(settings.bias, operands), empty_gradients(operands)
    pairs = head_pairs(seen.query, operands.query)
    numbers = *sizes(mine, g, bias, Operands(*map(heads, found)), mates, pairs), settings.scale, nearness
    count = operands.query.shape[:-2].numel()
    own = (None, None, None) if sums is None else sums[3:6]
    run(
        "attention_backward", (g, *mine, bias, *mates, *seen[3:6], *own, *found), numbers, count, count_scores(operands)
    )
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
    mine, bias = Operands(*map(heads, operands)), bias_of_heads(settings.bias, operands)
    numbers = *sizes(mine, y, bias), settings.scale, 0
    kept = (None, None, None) if seen is None else (seen.scores, seen.weights, seen.sums)
    run("attention_forward", (*mine, bias, y, *kept), numbers, out.shape[:-2].numel(), count_scores(operands))
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


def count_scores(operands: Operands) -> int:
    """Return how many scores there are."""
    return operands.query.shape[:-1].numel() * operands.key.shape[-2]


def heads(one: Tensor) -> Tensor:
    """Return `one` in shape (outer, heads, positions, width) with a last stride of 1: a view, or if need be a copy."""
    if one.stride(-1) != 1 and one.shape[-1] > 1:
        one = one.contiguous()
    if one.ndim == 3:
        return one.unsqueeze(1)
    return one if one.ndim == 4 else one.contiguous().flatten(0, -4)


def bias_of_heads(bias: Tensor | None, operands: Operands) -> Tensor | None:
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


def sizes(
    operands: Operands,
    y: Tensor,
    bias: Tensor | None = None,
    gradients: Operands | None = None,
    mates: Operands | None = None,
    pairs: tuple[int, int] = (1, 1),
) -> list[int]:
    """Return the sizes and strides that attention.h asks for, in its order; `mates` are operands of the sequences."""
    q, k, v = operands
    none = None, None, None
    laid = q, k, v, y, bias, *(gradients or none), *(mates or none)
    strides = [(0, 0, 0) if one is None else one.stride()[:3] for one in laid]
    flat = [number for each in strides for number in each]
    others = q if mates is None else mates.query
    return [q.shape[1], others.shape[1], q.shape[2], k.shape[2], q.shape[3], v.shape[3], *flat, *pairs]
