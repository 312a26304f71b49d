"""A call of PyTorch with windows in place of the tensors that changed, as rules take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_unflatten

from seqlight.prediction.changed_windows.differences import Differences
from seqlight.prediction.changed_windows.flat_windows import FlatWindows
from seqlight.prediction.changed_windows.memory_layout import has_channels_last
from seqlight.prediction.changed_windows.reference_outputs import ReferenceOutputs
from seqlight.prediction.changed_windows.windows import PlainWindows, Windows


@dataclass(frozen=True, eq=False)
class Call:
    """One call.

    Attributes
    ----------
    name : str
        Of the function, without the underscore of one that writes to its argument.
    func : callable
    leaves, spec : list, TreeSpec
        The arguments, positional and by name, and their structure.
    outputs : ReferenceOutputs
    writes : bool
        Whether it writes to its first argument, so that this must be copied.
    """

    name: str
    func: Callable[..., Any]
    leaves: list[Any]
    spec: TreeSpec
    outputs: ReferenceOutputs
    writes: bool = False

    @cached_property
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional arguments, and those by name."""
        args, kwargs = tree_unflatten(self.leaves, self.spec)
        return tuple(args), kwargs

    @property
    def changed(self) -> list[Windows]:
        """All windows among the arguments."""
        return [one for one in self.leaves if isinstance(one, Windows)]

    @property
    def input(self) -> Windows | None:
        """The only windows among the arguments if they are the first one, else None."""
        first = self.leaves[0] if self.leaves else None
        return first if isinstance(first, Windows) and len(self.changed) == 1 else None

    @property
    def flat(self) -> FlatWindows | None:
        """The only flattened windows among the arguments if they are the first one, else None."""
        first = self.leaves[0] if self.leaves else None
        alone = not any(isinstance(one, Windows | FlatWindows) for one in self.leaves[1:])
        return first if isinstance(first, FlatWindows) and alone else None

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument by its position or its name."""
        args, kwargs = self.arguments
        return args[position] if len(args) > position else kwargs.get(name, default)

    def reference(self) -> Any:
        """Return what the function makes of the reference."""
        mine = [isinstance(one, Windows | FlatWindows) for one in self.leaves]
        leaves = [one.reference if yes else one for one, yes in zip(self.leaves, mine, strict=True)]
        return self.outputs.find(self.func, leaves, self.spec, mine, self.writes)

    def replaced(self, leaves: list[Any]) -> Any:
        """Return what the function makes of other arguments of the same structure."""
        if self.writes:
            leaves = [leaves[0].clone(), *leaves[1:]]
        args, kwargs = tree_unflatten(leaves, self.spec)
        return self.func(*args, **kwargs)

    def windows(self, values: Any, starts: Tensor, axis: int, reference: Any = None) -> Any:
        """Return values as windows beside what the function makes of the reference; None where these do not match."""
        reference = self.reference() if reference is None else reference
        if isinstance(values, tuple | list):
            found = [self.windows(one, starts, axis, whole) for one, whole in zip(values, reference, strict=True)]
            return None if any(one is None for one in found) else tuple(found)
        if not self._matches(values.shape, reference, axis):
            return None
        if has_channels_last(values) and not has_channels_last(reference):
            reference = self.outputs.channels_last(reference)
        self.outputs.note(values[0].numel(), reference.numel())
        return PlainWindows(reference, values, starts, axis)

    def differences(
        self,
        difference: Tensor | Callable[[], Tensor],
        shape: torch.Size,
        starts: Tensor,
        axis: int,
        reference: Tensor | None = None,
        **others: Any,
    ) -> Differences | None:
        """Return windows by their difference from what the function makes of the reference; `others` are its settings.

        None where these do not match.
        """
        reference = self.reference() if reference is None else reference
        if not self._matches(shape, reference, axis):
            return None
        if isinstance(difference, Tensor) and has_channels_last(difference) and not has_channels_last(reference):
            reference = self.outputs.channels_last(reference)
        self.outputs.note(shape[1:].numel(), reference.numel())
        return Differences(reference, starts, axis, shape, difference, **others)

    def _matches(self, shape: torch.Size, reference: Tensor, axis: int) -> bool:
        """Return whether windows of this shape may stand beside what the function makes of the reference."""
        matches = len(shape) == reference.ndim > axis and len(reference) == 1 and shape[0] == self.changed[0].rows
        return matches and all(
            a == b for i, (a, b) in enumerate(zip(shape, reference.shape, strict=True)) if i not in (0, axis)
        )

    def spend(self, share: float, each: float) -> None:
        """Count the work of a call: `each` in full, and the share of it that windows take."""
        self.outputs.spent += share * each
        self.outputs.whole += each
        self.outputs.calls += 1


def of_axis(dim: int, ndim: int) -> int:
    """Return a dimension as a number from 0.

    Examples
    --------
    >>> of_axis(-1, 3), of_axis(1, 3)
    (2, 1)
    """
    return dim + ndim if dim < 0 else dim
