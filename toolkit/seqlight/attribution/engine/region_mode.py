"""Show parts of a model to the engine as one operation each, because only as a whole do they have a derivative."""

from __future__ import annotations

import contextlib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.attribution.calls.call import Function
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.retry import Discontinuous
from seqlight.attribution.engine.regions import Region
from seqlight.attribution.rules.comparisons import Piecewise
from seqlight.attribution.rules.entry import Entry


@dataclass
class RegionPolicy:
    """Which parts of a model are shown as one operation.

    Attributes
    ----------
    compares : bool
        Whether the model compares what depends on the input.
    regions : tuple of Region, optional
        Which parts these would be; None until they have been looked for.
    active : bool
        Whether they are shown so: only once a comparison comes out differently for a reference than for its sequence.
    """

    compares: bool = False
    regions: tuple[Region, ...] | None = None
    active: bool = False

    @property
    def unknown(self) -> bool:
        """Whether the regions have to be looked for."""
        return self.compares and self.regions is None

    @property
    def checks_comparisons(self) -> bool:
        """Whether a comparison that comes out differently for a reference makes the regions active."""
        return bool(self.regions) and not self.active

    @property
    def state(self) -> tuple[object, ...]:
        """What a record depends on."""
        return self.checks_comparisons, self.active, len(self.regions or ())

    def drop(self, part: object) -> None:
        """Explain each call of a region on its own again."""
        self.regions = tuple(one for one in self.regions or () if one is not part)
        self.active = bool(self.regions)

    def mode(
        self, rules: MutableMapping[Any, Entry], inputs: Sequence[Tensor]
    ) -> contextlib.AbstractContextManager[Any]:
        """Return the mode that shows each region to the mode outside as one operation, if they are active."""
        return _RegionMode(self.regions or (), rules, inputs) if self.active else contextlib.nullcontext()


class _RegionMode(TorchFunctionMode):
    """Makes the calls of each region out of sight, and shows what comes out of it as one operation."""

    def __init__(self, regions: Sequence[Region], rules: MutableMapping[Any, Entry], inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.tapes = [_Tape(one, rules) for one in regions]
        self.of_call = {at: tape for tape in self.tapes for at in tape.region.calls}
        self.entries: dict[int, list[_Tape]] = {}
        for tape in self.tapes:
            self.entries.setdefault(tape.region.entry[0], []).append(tape)
        self.at = 0
        self._enter(-1, list(inputs))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        at, tape = self.at, self.of_call.get(self.at)
        self.at += 1
        if tape is not None:
            return tape.call(at, func, args, kwargs or {})
        y = func(*args, **(kwargs or {}))
        if at in self.entries:
            self._enter(at, args[0] if getattr(func, "__name__", "") == "__setitem__" else y)
        return y

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for tape in self.tapes:
            tape.forget()

    def _enter(self, at: int, y: Any) -> None:
        for tape in self.entries.get(at, ()):
            tape.enter(_tensors(y), tape.region.entry[1])


@dataclass
class _Step:
    """A call of a region, with numbers for the tensors that it takes and gives."""

    function: Function
    leaves: list[Any]
    structure: Any
    takes: dict[int, int]
    gives: list[int] = field(default_factory=list)

    def made(self, values: dict[int, Tensor]) -> Any:
        leaves = list(self.leaves)
        for at, number in self.takes.items():
            leaves[at] = values[number]
        args, kwargs = tree_unflatten(leaves, self.structure)
        with torch._C.DisableTorchFunction():
            y = self.function(*args, **kwargs)
        values.update(zip(self.gives, _tensors(y), strict=False))
        return y


class _Tape:
    """The calls of one region, to be made again from any other tensor at its entry."""

    def __init__(self, region: Region, rules: MutableMapping[Any, Entry]) -> None:
        self.region, self.rules = region, rules
        self.entry: Tensor | None = None
        self.steps: list[_Step] = []
        self.values: dict[int, Tensor] = {}  # by number
        self.numbers: dict[int, int] = {}  # by the id of the tensor that the model has
        self.shown: list[Function] = []
        self._kept: list[Any] = []

    def forget(self) -> None:
        """Remove from the table what was shown."""
        for one in self.shown:
            self.rules.pop(one, None)

    def enter(self, tensors: list[Tensor], place: int) -> None:
        """Take the tensor at the entry."""
        if place >= len(tensors) or not tensors[place].requires_grad:
            raise Discontinuous(self.region)
        self.entry = tensors[place]
        with torch._C.DisableTorchFunction():
            self._number(self.entry, self.entry.detach().clone())

    def call(self, at: int, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call out of sight; what leaves the region depends on its entry."""
        leaves, structure = tree_flatten((args, kwargs))
        takes = {i: self.numbers[id(one)] for i, one in enumerate(leaves) if id(one) in self.numbers}
        known = [one for i, one in enumerate(leaves) if isinstance(one, Tensor) and i not in takes]
        if self.entry is None or any(one.requires_grad for one in known):
            raise Discontinuous(self.region)
        step = _Step(func, [None if i in takes else one for i, one in enumerate(leaves)], structure, takes)
        y = step.made(self.values)
        given, structure = tree_flatten(y)
        tensors = [one for one in given if isinstance(one, Tensor)]
        step.gives = [self._number(one, one) for one in tensors]
        self.steps.append(step)
        exits = [i for i in range(len(tensors)) if (at, i) in self.region.exits]
        if not exits:
            return y
        shown = {id(tensors[i]): self._shown(step.gives[i]) for i in exits}
        return tree_unflatten([shown.get(id(one), one) for one in given], structure)

    def _number(self, one: Tensor, value: Tensor) -> int:
        """Return the number of a tensor that the model has."""
        number = self.numbers.setdefault(id(one), len(self.numbers))
        self.values[number] = value
        self._kept.append(one)
        return number

    def _shown(self, number: int) -> Tensor:
        """Return what leaves the region, as the result of one operation on what enters it."""
        steps, first = list(self.steps), self.numbers[id(self.entry)]

        def again(x: Tensor) -> Tensor:
            values = {first: x.clone()}
            for step in steps:
                step.made(values)
            return values[number]

        again.__name__ = again.__qualname__ = self.region.name
        seen = as_operation(again)
        self.rules[seen] = Entry(self.region.name, seen, Piecewise(self.region))
        self.shown.append(seen)
        y: Tensor = seen(self.entry)
        found, wanted = y.detach(), self.values[number]
        if found.shape != wanted.shape or not bool(torch.isclose(found, wanted, equal_nan=True).all()):
            raise Discontinuous(self.region)  # the region writes to something else
        self.numbers[id(y)] = number
        self._kept.append(y)
        return y


def _tensors(y: Any) -> list[Tensor]:
    return [one for one in tree_flatten(y)[0] if isinstance(one, Tensor)]
