"""What is known of tensors, for as long as they live and are not written to."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Known = TypeVar("Known")


class KnownTensors(Generic[Known]):
    """What is known of tensors, with the version of each when it was recorded."""

    def __init__(self) -> None:
        self._entries: Any = WeakTensorKeyDictionary()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, one: Any) -> Known | None:
        """Return what is known of a tensor; None if nothing is, or if it was written to since."""
        entry = self._entries.get(one) if isinstance(one, Tensor) else None
        return entry[0] if entry is not None and entry[1] == _version(one) else None

    def record(self, one: Tensor, known: Known) -> None:
        """Record what is known of a tensor."""
        self._entries[one] = known, _version(one)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
