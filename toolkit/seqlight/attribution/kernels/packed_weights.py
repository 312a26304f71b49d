"""Weights as the loops take them, laid out once for all batches of a call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Bytes in all; beyond, weights are laid out anew for each batch.
MOST = 2**28
# Numbers of one piece of memory. So large a one is none of the heap's, and what is not used of it takes none: small
# tensors that live as long as the call would lie between large ones, and keep their room from being used again.
PIECE = 2**24
# Bytes up to which a tensor is put there: another is as large as those between which it lies.
SMALL = 2**20


class Weight(NamedTuple):
    """A weight as it was when it was used: its owner may have got other numbers since, as ``owner.data = ...`` does."""

    data: Tensor
    owner: Tensor

    @classmethod
    def of(cls, owner: Tensor) -> Weight:
        """Take a weight as it is."""
        return cls(owner.detach(), owner)


class _Kept(NamedTuple):
    """What is laid out holds for a weight until it is written to."""

    weight: Weight  # held, so that no other can come to lie where it lies
    version: int
    packed: Tensor


class Packs:
    """What was laid out for one call, whose weights are frozen."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}
        self._bytes = 0
        self._piece, self._used = torch.empty(0, dtype=torch.float32, device="cpu"), 0

    def of(self, weight: Weight, layout: Hashable, pack: Callable[[], Tensor]) -> Tensor:
        """Return ``pack()``, or what it gave before for the same weight and layout."""
        data, owner = weight
        # Only what the model owns stays: others, as those of a weight norm, are made anew in each forward.
        if type(owner) is not nn.Parameter or data.is_inference():
            return pack()
        key = id(owner), layout
        found = self._kept.get(key)
        if found is not None and found.version == data._version and found.weight.data.data_ptr() == data.data_ptr():
            return found.packed
        packed = pack()
        if found is None and self._bytes + packed.nbytes <= MOST:
            self._bytes += packed.nbytes
            if packed.nbytes <= SMALL and packed.dtype == torch.float32 and not isinstance(packed, nn.Parameter):
                packed = self._put_away(packed)
            self._kept[key] = _Kept(weight, data._version, packed)
        return packed

    def _put_away(self, one: Tensor) -> Tensor:
        """Return a copy in memory that is of this call alone."""
        if self._used + one.numel() > len(self._piece):
            self._piece, self._used = torch.empty(max(PIECE, one.numel()), dtype=torch.float32, device="cpu"), 0
        room = self._piece[self._used : self._used + one.numel()].view(one.shape)
        self._used += -(-one.numel() // 16) * 16  # whole lines of the cache
        return room.copy_(one)


_PACKS: ContextVar[Packs | None] = ContextVar("packs", default=None)


@contextlib.contextmanager
def packing() -> Iterator[None]:
    """Keep what is laid out inside, until the end."""
    token = _PACKS.set(Packs())
    try:
        yield
    finally:
        _PACKS.reset(token)


def keeps() -> bool:
    """Return whether what is laid out now is kept."""
    return _PACKS.get() is not None


def packed(weight: Weight, layout: Hashable, pack: Callable[[], Tensor]) -> Tensor:
    """Return ``pack()``, which depends on nothing but `weight` and `layout`; kept, where that is asked for."""
    packs = _PACKS.get()
    return pack() if packs is None else packs.of(weight, layout, pack)


def takes(*tensors: Tensor) -> bool:
    """Return whether the loops take these tensors of float32: an input, then weights that do not depend on it."""
    for one in tensors:
        if type(one) not in (Tensor, nn.Parameter) or one.dtype != torch.float32 or not one.is_cpu:
            return False
        if one.layout != torch.strided or not one.numel() or one.is_neg():
            return False
    return not (any(one.requires_grad for one in tensors[1:]) or torch.is_autocast_enabled("cpu"))
