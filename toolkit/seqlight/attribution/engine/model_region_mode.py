"""Show the engine some parts of a model as one operation each: those with a derivative only as a whole."""

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
from seqlight.attribution.calls.leaves import tensors_in
from seqlight.attribution.calls.retry import Discontinuous
from seqlight.attribution.engine.model_regions import Region
from seqlight.attribution.rules.comparisons import Piecewise, SimplexRegion
from seqlight.attribution.rules.simplex_projections import recognize
from seqlight.attribution.rules.table_entry import Entry


@dataclass
class RegionPolicy:
    """Which parts of a model are shown to the engine as one operation.

    Attributes
    ----------
    compares : bool
        Whether the model compares what depends on the input.
    regions : tuple of Region, optional
        The parts; None until they have been looked for.
    active : bool
        Whether they are shown as operations: only once a comparison differs between a reference and its sequence.
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
        """Whether a comparison that differs between a reference and its sequence will activate the regions."""
        return bool(self.regions) and not self.active

    @property
    def state(self) -> tuple[object, ...]:
        """What a record depends on."""
        return self.checks_comparisons, self.active, len(self.regions or ())

    def drop(self, part: object) -> None:
        """Explain each call of a region on its own from now on."""
        self.regions = tuple(one for one in self.regions or () if one is not part)
        self.active = bool(self.regions)

    def mode(
        self, rules: MutableMapping[Any, Entry], inputs: Sequence[Tensor]
    ) -> contextlib.AbstractContextManager[Any]:
        """Return a mode that shows each active region to the outer mode as one operation."""
        return _RegionMode(self.regions or (), rules, inputs) if self.active else contextlib.nullcontext()


class _RegionMode(TorchFunctionMode):
    """Makes the calls of each region out of sight of the outer mode, and shows it their result as one operation."""

    def __init__(self, regions: Sequence[Region], rules: MutableMapping[Any, Entry], inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.tapes = [_Tape(one, rules) for one in regions]
        self.tape_of_call = {at: tape for tape in self.tapes for at in tape.region.calls}
        self.entries: dict[int, list[_Tape]] = {}
        for tape in self.tapes:
            self.entries.setdefault(tape.region.entry[0], []).append(tape)
        self.at = 0
        self._enter(-1, list(inputs))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        at, tape = self.at, self.tape_of_call.get(self.at)
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
            tape.remove_entries()

    def _enter(self, at: int, y: Any) -> None:
        for tape in self.entries.get(at, ()):
            tape.enter(tensors_in(y), tape.region.entry[1])


@dataclass
class _Step:
    """A call of a region; its tensors are numbered.

    ``takes`` maps positions among the leaves to the numbers of arguments, ``gives`` has the numbers of the results.
    """

    function: Function
    leaves: list[Any]
    structure: Any
    takes: dict[int, int]
    gives: list[int] = field(default_factory=list)

    def run(self, values: dict[int, Tensor]) -> Any:
        leaves = list(self.leaves)
        for at, number in self.takes.items():
            leaves[at] = values[number]
        args, kwargs = tree_unflatten(leaves, self.structure)
        with torch._C.DisableTorchFunction():
            y = self.function(*args, **kwargs)
        values.update(zip(self.gives, tensors_in(y), strict=False))
        return y


class _Tape:
    """The calls of one region, which can be replayed from another tensor at its entry."""

    def __init__(self, region: Region, rules: MutableMapping[Any, Entry]) -> None:
        self.region, self.rules = region, rules
        self.entry: Tensor | None = None
        self.steps: list[_Step] = []
        self.values: dict[int, Tensor] = {}  # by number
        self.numbers: dict[int, int] = {}  # by the id of the model's tensor
        self.exposed: list[Function] = []
        self._alive: list[Any] = []

    def remove_entries(self) -> None:
        """Remove the operations of this region from the table."""
        for one in self.exposed:
            self.rules.pop(one, None)

    def enter(self, tensors: list[Tensor], place: int) -> None:
        """Set the tensor at the entry."""
        if place >= len(tensors) or not tensors[place].requires_grad:
            raise Discontinuous(self.region)
        self.entry = tensors[place]
        with torch._C.DisableTorchFunction():
            self._number(self.entry, self.entry.detach().clone())

    def call(self, at: int, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call out of sight of the outer mode; results that leave the region are exposed to it."""
        leaves, structure = tree_flatten((args, kwargs))
        takes = {i: self.numbers[id(one)] for i, one in enumerate(leaves) if id(one) in self.numbers}
        known = [one for i, one in enumerate(leaves) if isinstance(one, Tensor) and i not in takes]
        if self.entry is None or any(one.requires_grad for one in known):
            raise Discontinuous(self.region)
        step = _Step(func, [None if i in takes else one for i, one in enumerate(leaves)], structure, takes)
        y = step.run(self.values)
        given, structure = tree_flatten(y)
        tensors = [one for one in given if isinstance(one, Tensor)]
        step.gives = [self._number(one, one) for one in tensors]
        self.steps.append(step)
        exits = [i for i in range(len(tensors)) if (at, i) in self.region.exits]
        if not exits and any(one == at for one, _ in self.region.exits):  # an assignment returns nothing
            raise Discontinuous(self.region)
        if not exits:
            return y
        shown = {id(tensors[i]): self._expose(step.gives[i]) for i in exits}
        return tree_unflatten([shown.get(id(one), one) for one in given], structure)

    def _number(self, one: Tensor, value: Tensor) -> int:
        """Return the number of a tensor of the model, and set its value."""
        number = self.numbers.setdefault(id(one), len(self.numbers))
        self.values[number] = value
        self._alive.append(one)
        return number

    def _expose(self, number: int) -> Tensor:
        """Return a tensor that leaves the region, as the result of one operation on its entry."""
        steps, first = list(self.steps), self.numbers[id(self.entry)]

        def replay(x: Tensor) -> Tensor:
            values = {first: x.clone()}
            for step in steps:
                step.run(values)
            return values[number]

        replay.__name__ = replay.__qualname__ = self.region.name
        exposed = as_operation(replay)
        self.rules[exposed] = Entry(self.region.name, exposed, self._rule(number))
        self.exposed.append(exposed)
        y: Tensor = exposed(self.entry)
        actual, expected = y.detach(), self.values[number]
        if actual.shape != expected.shape or not bool(torch.isclose(actual, expected, equal_nan=True).all()):
            raise Discontinuous(self.region)  # the region writes to another tensor
        self.numbers[id(y)] = number
        self._alive.append(y)
        return y

    def _rule(self, number: int) -> Piecewise:
        """Return the rule of a tensor that leaves the region."""
        assert self.entry is not None
        with torch._C.DisableTorchFunction():
            found = recognize(self.entry.detach(), self.values[number])
        return Piecewise(self.region) if found is None else SimplexRegion(self.region, projection=found)
