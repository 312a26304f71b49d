"""Find the regions of a model that have a derivative only as a whole: what it computes from its own comparisons.

The number of entries above a threshold has no derivative, nor has the entry at that index. What is computed from them,
such as the threshold of a sparsemax, may have one, but only together with the comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seqlight.attribution.calls.leaves import tensors_in
from seqlight.attribution.rules.comparisons import NAMES
from seqlight.attribution.rules.operation_names import GATES

# A tensor: the number of the call that returned it, and its index among the results. Inputs of the model have call -1.
Place = tuple[int, int]
# The most calls in a region. None of them may be a layer: it would be the model rather than an operation in it.
MAX_CALLS = 200
_LAYERS = frozenset("linear lstm gru scaled_dot_product_attention multi_head_attention_forward".split())
_ORDERED = frozenset({"sort", "topk", "msort"})
# Operations whose rules allow for a mask.
_MASKED = GATES | {"where", "masked_fill", "masked_fill_"}


@dataclass(frozen=True)
class Region:
    """A part of a model with a single entry.

    Parameters
    ----------
    name : str
        The name of the function that compares.
    entry : tuple of int
        The one tensor that it depends on.
    calls : frozenset of int
        The numbers of the calls of the model that it consists of.
    exits : frozenset of tuple of int
        Its tensors that are used outside.
    """

    name: str
    entry: Place
    calls: frozenset[int]
    exits: frozenset[Place]


@dataclass(frozen=True)
class _Value:
    dependent: bool
    dtype: torch.dtype
    size: int


@dataclass(frozen=True)
class _Step:
    name: str
    takes: tuple[Place, ...]
    gives: tuple[Place, ...]


class Trace(TorchFunctionMode):
    """Records the calls of a model, with the tensors they take and return that depend on the input.

    Parameters
    ----------
    inputs : sequence of torch.Tensor
        What the model is called with.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.steps: list[_Step] = []
        self.values: dict[Place, _Value] = {}
        self._places: dict[int, Place] = {}
        self._alive: list[Tensor] = []  # the id of a freed tensor may be reused
        for i, one in enumerate(inputs):
            self._enter((-1, i), one)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        y = func(*args, **(kwargs or {}))
        at, name = len(self.steps), str(getattr(func, "__name__", ""))
        places = (self._places.get(id(one)) for one in tensors_in((args, kwargs)))
        takes = tuple(place for place in places if place is not None)
        given = tensors_in(args[0] if name == "__setitem__" else y)
        depend = [(i, one) for i, one in enumerate(given) if takes or one.requires_grad]
        for i, one in depend:
            self._enter((at, i), one)
        self.steps.append(_Step(name, takes, tuple((at, i) for i, _ in depend)))
        return y

    def record_output(self, output: Tensor) -> None:
        """Record the output of the model."""
        place = self._places.get(id(output))
        self.steps.append(_Step("return", () if place is None else (place,), ()))

    def _enter(self, place: Place, one: Tensor) -> None:
        self._places[id(one)] = place
        self._alive.append(one)
        self.values[place] = _Value(one.requires_grad, one.dtype, one.numel())

    def regions(self) -> tuple[Region, ...]:
        """Return the regions that only an integral explains; overlapping ones are merged."""
        cores = [core for core, counts in map(self._core, range(len(self.steps))) if counts]
        if cores:  # a gate after the first may be written with numbers too
            first = min(map(min, cores))
            cores = [core for core, _ in map(self._core, range(first, len(self.steps))) if core]
        found: list[tuple[set[int], Place]] = []
        for core in cores:
            region = self._grow(core)
            while region is not None:
                others = [one for one in found if one[0] & region[0]]
                if not others:
                    found.append(region)
                    break
                found = [one for one in found if one not in others]
                region = self._grow(region[0].union(*(one[0] for one in others)))
        return tuple(self._make_region(calls, entry) for calls, entry in found)

    def _core(self, at: int) -> tuple[set[int], bool]:
        """Return a comparison with all calls that use its result, and whether something is counted with it.

        The set is empty if the result is only used as a mask.
        """
        step = self.steps[at]
        if step.name not in NAMES or not any(self.values[one].dependent for one in step.takes):
            return set(), False
        # Results without a gradient, each with whether it is a count.
        hidden, core, used, counts = dict.fromkeys(step.gives, False), {at}, False, False
        for later, one in enumerate(self.steps[at + 1 :], at + 1):
            hidden_arguments = [place for place in one.takes if place in hidden]
            if not hidden_arguments:
                continue
            core.add(later)
            counted = any(hidden[place] for place in hidden_arguments)
            masks = one.name in _MASKED and all(self.values[place].dtype == torch.bool for place in hidden_arguments)
            for place in one.gives:
                value = self.values[place]
                if value.dependent:
                    used |= not masks
                    counts |= counted and not masks
                else:
                    fewer = value.size < max(self.values[taken].size for taken in hidden_arguments)
                    hidden[place] = counted or fewer
        return (core if used else set()), counts

    def _grow(self, core: Iterable[int]) -> tuple[set[int], Place] | None:
        """Return `core` with all calls in between, extended back to the one tensor that all of them depend on."""
        calls = self._calls_between(set(core))
        while len(calls) <= MAX_CALLS and not any(map(self._is_layer, calls)):
            taken = {one for at in calls for one in self.steps[at].takes if one[0] not in calls}
            # A mask from outside, such as that of padding, is a constant.
            taken = {one for one in taken if self.values[one].dependent or self.values[one].dtype != torch.bool}
            if not taken:
                return None
            entry = max(taken)
            if len(taken) == 1 and self._can_be_entry(entry):
                return calls, entry
            if entry[0] < 0:
                return None
            calls = self._calls_between(calls | {entry[0]})
        return None

    def _is_layer(self, at: int) -> bool:
        name = self.steps[at].name
        return name in _LAYERS or name.startswith("conv")

    def _can_be_entry(self, place: Place) -> bool:
        value = self.values[place]
        made = self.steps[place[0]] if place[0] >= 0 else None
        # Sorted values cannot be the entry: all ways to sort should give the same attributions.
        ordered = made is not None and made.name in _ORDERED
        ordered = ordered or not (
            made is None or made.name in _MASKED or all(self.values[one].dependent for one in made.takes)
        )
        return value.dependent and value.dtype.is_floating_point and not ordered

    def _calls_between(self, calls: set[int]) -> set[int]:
        after: set[int] = set()
        for at in range(min(calls), max(calls) + 1):
            if at in calls or any(one[0] in after for one in self.steps[at].takes):
                after.add(at)
        before: set[int] = set()
        for at in sorted(after, reverse=True):
            if at in calls or at in before:
                before.add(at)
                before.update(one[0] for one in self.steps[at].takes if one[0] in after)
        return before

    def _make_region(self, calls: set[int], entry: Place) -> Region:
        used = {one for at, step in enumerate(self.steps) if at not in calls for one in step.takes}
        last = {one for at in calls for one in self.steps[at].gives}
        taken = {one for at in calls for one in self.steps[at].takes}
        exits = {one for one in last if self.values[one].dependent and (one in used or one not in taken)}
        name = next(self.steps[at].name for at in sorted(calls) if self.steps[at].name in NAMES)
        return Region(name.strip("_"), entry, frozenset(calls), frozenset(exits))
