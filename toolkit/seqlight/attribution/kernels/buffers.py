"""Memory for multipliers, used again for one batch of references after the other.

Multipliers are as large as activations, and allocating so much memory takes as long as filling it, because the system
hands it out a page at a time. They are no longer needed once the gradients of their batch are known, and nobody but the
rules has seen them, so the next batch can have their memory.
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
    """Tensors that are lent for one batch, and those that are free again.

    Gradients are never lent, because a hook of the user may keep one.
    """

    def __init__(self) -> None:
        self._free: dict[Any, list[Tensor]] = defaultdict(list)
        self._lent: list[tuple[Any, Tensor]] = []

    def lend(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Return a contiguous tensor of this shape and dtype, which is not initialized."""
        key = shape, dtype
        found = self._free[key].pop() if self._free[key] else torch.empty(shape, dtype=dtype, device="cpu")
        self._lent.append((key, found))
        return found

    def take_back(self) -> None:
        """Take all tensors back, to be lent again."""
        for key, tensor in self._lent:
            self._free[key].append(tensor)
        self._lent.clear()


_ARENA: ContextVar[Arena | None] = ContextVar("arena", default=None)


@contextlib.contextmanager
def lend_from(arena: Arena) -> Iterator[None]:
    """Let rules borrow from `arena` inside this context; at the end all is taken back."""
    token = _ARENA.set(arena)
    try:
        yield
    finally:
        _ARENA.reset(token)
        arena.take_back()


def empty(shape: torch.Size, like: Tensor) -> Tensor:
    """Return an empty contiguous tensor of this shape, of the dtype and on the device of `like`; lent if possible."""
    arena = _ARENA.get()
    if arena is None or not like.is_cpu:
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    return arena.lend(shape, like.dtype)


def empty_like(like: Tensor) -> Tensor:
    """Return an empty contiguous tensor like `like`; lent if possible."""
    return empty(like.shape, like)
