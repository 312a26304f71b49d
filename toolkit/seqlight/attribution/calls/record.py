"""What the pass of the sequences records for that of their references, call by call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from seqlight.attribution.calls.retry import Overwritten


@dataclass(slots=True, eq=False)
class Snapshot:
    """A tensor, with its version counter at the time it was recorded."""

    tensor: Tensor
    version: int

    @classmethod
    def take(cls, tensor: Tensor, copy: bool) -> Snapshot:
        """Record `tensor`, or a copy of it."""
        kept = tensor.detach().clone() if copy else tensor.detach()
        return cls(kept, kept._version)

    @property
    def is_overwritten(self) -> bool:
        """Whether the tensor was written to since it was recorded."""
        return self.tensor._version != self.version

    def get(self) -> Tensor:
        """Return the tensor; raise Overwritten if it was written to since."""
        if self.tensor._version != self.version:
            raise Overwritten
        return self.tensor


@dataclass
class Record:
    """The output of some sequences, and what each rule kept of its call, in the order of the calls.

    Attributes
    ----------
    arranged : frozenset of int, optional
        The convolutions, by their number, whose results gain from lying with channels last; None if there is none that
        could be made otherwise than by PyTorch's function.
    """

    output: Any = None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    arranged: frozenset[int] | None = None


def map_snapshots(kept: Any, function: Callable[[Snapshot], Snapshot]) -> Any:
    """Return what a rule kept, with ``function(one)`` in place of each snapshot."""
    if isinstance(kept, Snapshot):
        return function(kept)
    return type(kept)([map_snapshots(one, function) for one in kept]) if isinstance(kept, list | tuple) else kept
