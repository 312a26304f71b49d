"""Windows of each row's own in the compiled loops of ``native/changed_windows.c``, which copy nothing twice."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.native.library import library
from seqlight.native.threads import run
from seqlight.prediction.changed_windows.memory_layout import has_channels_last


def suits(one: Tensor, reference: Tensor, *starts: Tensor) -> bool:
    """Return whether the loops take windows of a reference."""
    return (
        len(one) > 1
        and all(len(each) == len(one) for each in starts)
        and has_channels_last(one)
        and has_channels_last(reference)
        and one.is_cpu
        and one.dtype == reference.dtype
        and one.dtype in (torch.float32, torch.float64)
        and one.mT.is_contiguous()
        and reference.mT.is_contiguous()
        and library() is not None
    )


def plus_reference(one: Tensor, reference: Tensor, starts: Tensor, sign: int, in_place: bool) -> Tensor:
    """Return windows plus what the reference has there, or minus it where `sign` is -1."""
    rows, width, channels = one.mT.shape
    y = one.mT if in_place else torch.empty_like(one.mT)
    starts = starts.contiguous()
    run("reference_sums", (one, reference, starts, y), (width, channels, one.itemsize, sign), rows, one.numel())
    return y.mT


def wider(values: Tensor, starts: Tensor, reference: Tensor, begins: Tensor, size: int) -> Tensor:
    """Return other windows of `size` positions: the values where they have any, and the reference elsewhere."""
    rows, width, channels = values.mT.shape
    y = values.new_empty(rows, size, channels)
    tensors = values, reference, starts.contiguous(), begins.contiguous(), y
    run("wider_windows", tensors, (width, size, channels * y.itemsize), rows, y.numel())
    return y.mT
