"""Attention of float32 on the CPU a head at a time, so that no scores and weights of references are ever in memory.

Equal rows have equal bits here, whatever stands beside them: where a reference is like its sequence, so are the scores.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.pairing import split_dimension
from seqlight.native.library import library
from seqlight.native.threads import over_rows


class Seen(NamedTuple):
    """What is recorded of a sequence: contiguous operands, scores and weights, and float64 logsumexps of the scores."""

    query: Tensor
    key: Tensor
    value: Tensor
    scores: Tensor
    weights: Tensor
    sums: Tensor


class Settings(NamedTuple):
    """What is added to the scores, and what they are scaled with."""

    bias: Tensor | None
    scale: float


def suits(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> bool:
    """Return whether attention can be done here."""
    native, operands = library(), (query, key, value)
    return (
        native is not None
        and bool(native.attention_here())
        and all(one.dtype == torch.float32 and one.device.type == "cpu" and one.numel() > 0 for one in operands)
        and all(one.layout == torch.strided for one in operands)
        and (bias is None or (type(bias) is Tensor and bias.dtype == torch.float32 and bias.device.type == "cpu"))
    )


def observe(query: Tensor, key: Tensor, value: Tensor, settings: Settings) -> tuple[Tensor, Seen]:
    """Return attention, and what to record."""
    query, key, value = (one.contiguous() for one in (query, key, value))
    shape = query.shape[:-1]
    scores = query.new_empty((*shape, key.shape[-2]))
    seen = Seen(query, key, value, scores, torch.empty_like(scores), query.new_empty(shape, dtype=torch.float64))
    return _forward(query, key, value, settings, seen), seen


def attend(query: Tensor, key: Tensor, value: Tensor, settings: Settings) -> Tensor:
    """Return attention."""
    return _forward(query, key, value, settings, None)


def gradients(
    grad: Tensor, seen: Seen, query: Tensor, key: Tensor, value: Tensor, settings: Settings, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients at query, key and value of the references for that at their attention.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., positions, width)
    seen : Seen
        Of the sequences.
    query, key, value : torch.Tensor, shapes (..., positions, width)
        Of the references.
    settings : Settings
        As they were.
    threshold : float
        Below which a difference counts as none.
    """
    native = library()
    assert native is not None
    heads = [_heads(one) for one in (query, key, value, grad)]
    bias = _of_heads(settings.bias, query, key)
    sizes = _sizes(*heads, bias, _pairs(seen.query, query))
    found = query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)
    given = [heads[3], *heads[:3], bias, *seen, *found]
    pointers = [None if one is None else one.data_ptr() for one in given]

    def work(first: int, last: int) -> None:
        if native.attention_backward(*pointers, first, last, sizes, settings.scale, threshold):
            raise MemoryError("no memory for a head of attention")

    over_rows(work, query.shape[:-2].numel(), _entries(query, key))
    return found


def _forward(query: Tensor, key: Tensor, value: Tensor, settings: Settings, seen: Seen | None) -> Tensor:
    native = library()
    assert native is not None
    # Positions before heads, where the query has them so: what puts heads side by side then copies nothing.
    like = query if query.shape[-1] == value.shape[-1] else query[..., :1].expand(*query.shape[:-1], value.shape[-1])
    out = torch.empty_like(like, memory_format=torch.preserve_format)
    heads = [_heads(one) for one in (query, key, value)]
    y = _heads(out)
    if y.data_ptr() != out.data_ptr():
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        y = _heads(out)
    bias = _of_heads(settings.bias, query, key)
    sizes = _sizes(*heads, y, bias, (1, 1))
    kept = (None, None, None) if seen is None else seen[3:]
    pointers = [None if one is None else one.data_ptr() for one in (*heads, bias, y, *kept)]

    def work(first: int, last: int) -> None:
        if native.attention_forward(*pointers, first, last, sizes, settings.scale):
            raise MemoryError("no memory for a head of attention")

    over_rows(work, query.shape[:-2].numel(), _entries(query, key))
    return out


def _entries(query: Tensor, key: Tensor) -> int:
    return query.shape[:-1].numel() * key.shape[-2]


def _heads(one: Tensor) -> Tensor:
    """Return a view of (outer, heads, positions, width) with width 1 apart; of a copy, if need be."""
    if one.stride(-1) != 1 and one.shape[-1] > 1:
        one = one.contiguous()
    if one.ndim == 3:
        return one.unsqueeze(1)
    return one if one.ndim == 4 else one.contiguous().flatten(0, -4)


def _of_heads(bias: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
    """Return the bias for each head."""
    if bias is None:
        return None
    full = bias.contiguous().expand(*query.shape[:-1], key.shape[-2])
    return _heads(full if bias.shape[-1] == key.shape[-2] else full.contiguous())


def _pairs(recorded: Tensor, reference: Tensor) -> tuple[int, int]:
    """Return how many recorded heads stand behind each other for n times as many of the references, and n."""
    at = split_dimension(recorded, reference)
    if at is None:
        return recorded.shape[:-2].numel(), 1
    dimension, n = at
    return math.prod(recorded.shape[dimension:-2]), n


def _sizes(
    q: Tensor, k: Tensor, v: Tensor, y: Tensor, bias: Tensor | None, pairs: tuple[int, int]
) -> ctypes.Array[Any]:
    """Return what attention.c has as a struct."""
    strides = [(0, 0, 0) if one is None else one.stride()[:3] for one in (q, k, v, y, bias)]
    flat = [number for each in strides for number in each]
    numbers = [q.shape[1], q.shape[2], k.shape[2], q.shape[3], v.shape[3], *flat, *pairs]
    return (ctypes.c_int64 * len(numbers))(*numbers)
