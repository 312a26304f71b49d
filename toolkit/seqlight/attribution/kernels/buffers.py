"""Memory for multipliers that serves one batch of references after the other.

Multipliers are as large as activations, and new memory of that size costs as much as filling it: the
system hands it out a page at a time. They are dead once the gradients of their batch are known, and
nobody but the rules has seen them, so the next batch can have their memory.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor


class Arena:
    """Tensors that were lent, and those that came back.

    Gradients are never lent: a hook of the user's may keep one.
    """

    def __init__(self) -> None:
        self._free: dict[Any, list[Tensor]] = defaultdict(list)
        self._lent: list[tuple[Any, Tensor]] = []

    def lend(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Return a contiguous tensor of this shape and dtype, with anything in it."""
        key = shape, dtype
        found = self._free[key].pop() if self._free[key] else torch.empty(shape, dtype=dtype, device="cpu")
        self._lent.append((key, found))
        return found

    def take_back(self) -> None:
        """Take all tensors back: from here on they may be lent again."""
        for key, tensor in self._lent:
            self._free[key].append(tensor)
        self._lent.clear()


_ARENA: ContextVar[Arena | None] = ContextVar("arena", default=None)


@contextlib.contextmanager
def lend_from(arena: Arena) -> Iterator[None]:
    """Let the rules that are asked inside borrow from `arena`; at the end it has everything back, to lend again."""
    token = _ARENA.set(arena)
    try:
        yield
    finally:
        _ARENA.reset(token)
        arena.take_back()


def empty(shape: torch.Size, like: Tensor) -> Tensor:
    """Return a contiguous tensor of this shape, of the dtype and on the device of `like`; lent if it can be."""
    arena = _ARENA.get()
    if arena is None or not like.is_cpu:
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    return arena.lend(shape, like.dtype)


def empty_like(like: Tensor) -> Tensor:
    """Return a contiguous tensor like `like`, lent if it can be."""
    return empty(like.shape, like)
