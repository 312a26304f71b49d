"""How tensors lie in memory: which ones the compiled loops take, and how sequences and references pair up.

The references of a sequence are n times as many rows as it has, in one dimension of the tensor (see
``calls/partners.py``). So a recorded tensor has shape (outer, span) and that of the references (outer, n, span),
whatever lies inside of the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.attribution.calls.partners import batch_dimension

# Numbers of which a few tensors fill the cache of a processor, and beside which a call takes no time.
LONG = 2**16


def are_long(recorded: Tensor, reference: Tensor) -> bool:
    """Return whether tensors are so large that the CPU should meet the references one after the other, row by row."""
    if not reference.is_cpu or recorded.numel() < LONG or reference.dtype not in (torch.float32, torch.float64):
        return False
    at = batch_dimension(recorded, reference)
    return at is not None and at[0] == 0


def are_many(recorded: Tensor, reference: Tensor) -> bool:
    """Return whether the CPU should meet the references a few at a time: together, several fill its cache."""
    if not reference.is_cpu or reference.numel() <= LONG:
        return False
    at = batch_dimension(recorded, reference)
    return at is not None and at[0] == 0


def are_packed(*tensors: Tensor) -> bool:
    """Return whether tensors are contiguous, real, of one dtype and on one device, and the first is not empty.

    A part of conjugate numbers has its signs in a flag instead of in memory, so it does not count, either.
    """
    first, *others = tensors
    dtype, on_cpu = first.dtype, first.is_cpu
    if dtype not in (torch.float32, torch.float64) or not first.numel() or not first.is_contiguous() or first.is_neg():
        return False
    for one in others:  # a device is an object to make and compare, a flag is neither
        there = one.is_cpu if on_cpu else one.device == first.device
        if not there or one.dtype != dtype or not one.is_contiguous() or one.is_neg():
            return False
    return True


def suits(*tensors: Tensor) -> bool:
    """Return whether the compiled loops take these tensors: packed, and on the CPU."""
    return tensors[0].is_cpu and are_packed(*tensors)


def element_pairs(recorded: Tensor, reference: Tensor) -> tuple[int, int]:
    """Return the span and n of two contiguous tensors, counted in elements."""
    at = batch_dimension(recorded, reference)
    if at is None:
        return recorded.numel(), 1
    dimension, n = at
    return recorded.shape[dimension:].numel(), n


def row_pairs(recorded: Tensor, reference: Tensor) -> tuple[int, int] | None:
    """Return the same counted in rows of the last dimension; None if it is that dimension which is n times longer."""
    at = batch_dimension(recorded, reference)
    if at is not None and at[0] == recorded.ndim - 1:
        return None
    span, n = element_pairs(recorded, reference)
    return span // recorded.shape[-1], n


def fills(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether a tensor covers one piece of memory without gaps or overlaps, in any order of dimensions.

    Examples
    --------
    >>> fills((2, 3), (3, 1)), fills((2, 3), (1, 2)), fills((2, 3), (1, 1)), fills((2, 3), (6, 2))
    (True, True, False, False)
    """
    room = 1
    for stride, size in sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size != 1):
        if stride != room:
            return False
        room *= size
    return True
