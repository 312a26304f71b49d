"""Weights in the layout that the loops take, packed once for all batches of a call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Bytes that are kept in all; weights beyond that are packed again for each batch.
MOST_BYTES = 2**28
# Small packed weights share pieces of memory of this many numbers. By themselves they would lie between large tensors
# of a batch and, since they live longer, keep the freed memory around them in fragments. The system reserves so large a
# piece outside of the heap, and the unused part of it takes no memory.
PIECE = 2**24
# Bytes up to which packed weights are small.
SMALL_BYTES = 2**20
# The classes of tensors that hold nothing but their numbers.
_PLAIN = (Tensor, nn.Parameter)


class Weight(NamedTuple):
    """The data of a weight when it was used, and its owner, whose data may since be others: ``owner.data = ...``."""

    data: Tensor
    owner: Tensor

    @classmethod
    def from_owner(cls, owner: Tensor) -> Weight:
        """Return the weight of `owner` as it is now."""
        return cls(owner.detach(), owner)


class _Entry(NamedTuple):
    """A packed weight, which holds until the weight is written to."""

    weight: Weight  # kept alive, so that no other tensor can get its address
    version: int
    packed: Tensor


class PackedWeights:
    """The packed weights of one call, during which the model is frozen."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}
        self._bytes = 0
        self._piece, self._used = torch.empty(0, dtype=torch.float32, device="cpu"), 0

    def get(self, weight: Weight, layout: Hashable, pack: Callable[[], Tensor]) -> Tensor:
        """Return ``pack()``, or what it returned before for the same weight and layout."""
        data, owner = weight
        # Only parameters last: other weights, such as those of a weight norm, are made again in each forward.
        if type(owner) is not nn.Parameter or data.is_inference():
            return pack()
        key = id(owner), layout
        found = self._entries.get(key)
        if found is not None and found.version == data._version and found.weight.data.data_ptr() == data.data_ptr():
            return found.packed
        packed = pack()
        if found is None and self._bytes + packed.nbytes <= MOST_BYTES:
            self._bytes += packed.nbytes
            if packed.nbytes <= SMALL_BYTES and packed.dtype == torch.float32 and not isinstance(packed, nn.Parameter):
                packed = self._move(packed)
            self._entries[key] = _Entry(weight, data._version, packed)
        return packed

    def _move(self, one: Tensor) -> Tensor:
        """Return a copy of a small tensor in a shared piece of memory."""
        if self._used + one.numel() > len(self._piece):
            self._piece, self._used = torch.empty(max(PIECE, one.numel()), dtype=torch.float32, device="cpu"), 0
        room = self._piece[self._used : self._used + one.numel()].view(one.shape)
        self._used += -(-one.numel() // 16) * 16  # a whole number of cache lines
        return room.copy_(one)


_PACKED: ContextVar[PackedWeights | None] = ContextVar("packed", default=None)


@contextlib.contextmanager
def store_packed_weights() -> Iterator[None]:
    """Keep what is packed inside this context until its end."""
    token = _PACKED.set(PackedWeights())
    try:
        yield
    finally:
        _PACKED.reset(token)


def stores_packed_weights() -> bool:
    """Return whether weights that are packed now are kept."""
    return _PACKED.get() is not None


def pack_once(weight: Weight, layout: Hashable, pack: Callable[[], Tensor]) -> Tensor:
    """Return ``pack()``, which depends on `weight` and `layout` alone; called once inside store_packed_weights."""
    packed = _PACKED.get()
    return pack() if packed is None else packed.get(weight, layout, pack)


def suits_packed(x: Tensor, *weights: Tensor | None) -> bool:
    """Return whether the loops take an input, and weights: dense and float32, with weights that are constants."""
    for one in (x, *weights):
        if one is None:
            continue
        if type(one) not in _PLAIN or one.dtype is not torch.float32 or not one.is_cpu:
            return False
        if one.layout is not torch.strided or not one.numel() or one.is_neg() or (one.requires_grad and one is not x):
            return False
    return not torch.is_autocast_enabled("cpu")
