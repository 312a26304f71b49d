"""How windows of channels by positions lie in memory: all channels of a position side by side, where that is faster.

A window is then one piece of memory, and kernels of the CPU work on many channels at once, however narrow it is.
"""

from __future__ import annotations

import torch
from torch import Tensor


def has_channels_last(one: Tensor) -> bool:
    """Return whether a tensor (rows, channels, positions) has the channels of a position side by side.

    Examples
    --------
    >>> has_channels_last(torch.zeros(2, 3, 5)), has_channels_last(channels_last(torch.zeros(2, 3, 5)))
    (False, True)
    """
    return one.ndim == 3 and one.stride(1) == 1 and one.shape[1] > 1


def channels_last(one: Tensor) -> Tensor:
    """Return the same numbers, with the channels of each position side by side."""
    return one if has_channels_last(one) else one.mT.contiguous().mT


def prefers_channels_last(one: Tensor) -> bool:
    """Return whether convolutions of such tensors are faster so: in float32 on CPUs that oneDNN has kernels for."""
    return one.is_cpu and one.dtype == torch.float32 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def as_image(one: Tensor) -> Tensor:
    """Return rows, channels and positions as images of a single line, of the same layout."""
    return one.unsqueeze(2)


def empty_along(one: Tensor, axis: int, size: int) -> Tensor:
    """Return an empty tensor of the same layout and sizes, but for one dimension."""
    sizes = [*one.shape[:axis], size, *one.shape[axis + 1 :]]
    if not has_channels_last(one):
        return one.new_empty(sizes)
    return one.new_empty(sizes[0], sizes[2], sizes[1]).mT
