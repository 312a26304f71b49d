"""Where the memory of a tensor lies."""

from __future__ import annotations

from torch import Tensor


def storage_address(tensor: Tensor) -> int:
    """Return the address of a tensor's memory, which its views share, or its id if it has none."""
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (NotImplementedError, RuntimeError):
        return id(tensor)
