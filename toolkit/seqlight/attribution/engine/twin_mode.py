"""What a mode makes of tensors that depend on the input without a gradient: they meet others as their twins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.leaves import flatten_arguments
from seqlight.attribution.engine.picked_entries import Picked, PickedEntries, are_equal, is_picking, is_putting
from seqlight.attribution.engine.ranked_places import RankedPlaces, is_ranking
from seqlight.attribution.engine.twin_calls import (
    ELEMENTWISE_MASKS,
    choose_by_number,
    fill,
    fill_in_place,
    is_finite_choice,
    place_of_mask,
    repeatable,
    takes_first_alone,
    takes_numbers,
    writes_to_operand,
)
from seqlight.attribution.engine.twins import Replay, Twin, Twins, reveal
from seqlight.attribution.rules.comparisons import NAMES
from seqlight.attribution.rules.operation_names import writes_in_place


class TwinMode(TorchFunctionMode):
    """A mode that gives tensors without a gradient a twin, from the first call on that makes one.

    Attributes
    ----------
    twins : Twins, optional
        None until then, and while a call is taken as it is.
    looks_for_twins : bool
        Whether a call may be the first one.
    picked : PickedEntries
        Entries that were picked by a mask that has a twin.
    ranked : RankedPlaces
        Places of the largest numbers of tensors that depend on the input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.twins: Twins | None = None
        self.looks_for_twins = True
        self.picked, self.ranked = PickedEntries(), RankedPlaces()

    def is_live(self, x: Tensor) -> bool:
        """Return whether a tensor depends on the input with a gradient."""
        raise NotImplementedError

    def keep(self, x: Tensor) -> Tensor:
        """Return such a tensor as it is now, for a call that is made later."""
        raise NotImplementedError

    def mark(self, x: Tensor) -> None:
        """Note that a tensor is live."""

    def call_directly(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule."""
        return func(*args, **kwargs)

    def meets_twins(self, func: Any, args: Any, kwargs: Any, hides: bool) -> bool:
        """Return whether a call takes tensors that have twins, or makes such."""
        assert self.twins is not None
        hides = hides or not torch.is_grad_enabled()
        for one in flatten_arguments(args, kwargs)[0]:
            if isinstance(one, Tensor):
                live = self.is_live(one)
                if (live and hides) or (not live and (self.twins.find(one) or self.ranked.find(one))):
                    return True
                if self.picked and self.picked.find(one):
                    return True
        return False

    def needs_twins(self, func: Any, args: Any, kwargs: Any, hides: bool) -> bool:
        """Return the same for a call that may be the first one."""
        if self.twins is None and self.looks_for_twins and (hides or not torch.is_grad_enabled()):
            self.twins = Twins()
        return self.twins is not None and self.meets_twins(func, args, kwargs, hides)

    def call_with_twins(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that takes tensors with twins, or makes such."""
        call = Call.from_arguments(str(getattr(func, "__name__", "")), func, args, kwargs)
        live = [at for at, one in enumerate(call.leaves) if isinstance(one, Tensor) and self.is_live(one)]
        if live and live[0] > 0 and takes_first_alone(call.name):
            live = []
        writes, in_graph = writes_to_operand(call), torch.is_grad_enabled()
        if call.name == "detach_" and live:
            return args[0]
        if call.name == "requires_grad_" and not live:  # writes nothing
            return self.call_directly(func, args, kwargs)
        if writes and 0 in live and not in_graph:  # behind the back of autograd
            return self.call_directly(func, args, kwargs)
        if self.picked and (changed := self.picked.changed(call)) is not None:
            return self._change_picked(call, *changed, types, args, kwargs)
        if self.ranked and (index := self.ranked.looked_up(call)) is not None:
            return self._look_up(call, *index, types, args, kwargs)
        if not (live and in_graph) or call.name in NAMES or call.name in ("detach", "__get__"):
            return self._hide(call, types, args, kwargs)
        if is_putting(call) and 0 in live and (whole := self._whole_to_put(call)) is not None:
            return self._put(call, whole)
        target = call.leaves[0] if writes and 0 not in live else None
        mask = place_of_mask(call)
        call = self._reveal_operands(call, live, mask)
        if mask is not None and call.leaves[mask].dtype != torch.bool and not takes_numbers(call.name):
            return self.run(choose_by_number(call, mask), *call.leaves)
        args, kwargs = call.arguments()
        y = self._proceed(func, types, args, kwargs)
        self.ranked.record_call(call, y, self._twin(call.leaves[0]) if is_ranking(call) else None)
        if is_picking(call) and 0 in live:
            self.picked.record(y, Picked(call.leaves[1], Twin.of(self.keep(call.leaves[0]), 0)))
        written = call.leaves[0]
        if target is None or target is written:
            return y
        self.run(Tensor.copy_, target, written)  # what was written to is a copy with the gradient of the twin
        return target

    def reveal_output(self, y: Any) -> Any:
        """Return the output of a model, with a gradient if it has a twin.

        Outside of the mode, which would see what a rule calls.
        """
        if self.twins is None or not isinstance(y, Tensor) or self.is_live(y) or not y.is_floating_point():
            return y
        twin = self.twins.find(y)
        return y if twin is None else self._reveal(y, twin, y.dtype)

    def run(self, function: Any, *args: Any) -> Any:
        """Make a call of our own, whatever mode the model is in."""
        with torch.inference_mode(False), torch.enable_grad(), self.as_it_is():
            return function(*args)

    @contextlib.contextmanager
    def as_it_is(self) -> Iterator[None]:
        """Let the mode see what is called inside, and nothing of it hide what it depends on."""
        with self._without_twins(), self:
            yield

    def _hide(self, call: Call, types: Any, args: Any, kwargs: Any) -> Any:
        """Make a call whose results have no gradient, and record their twins."""
        assert self.twins is not None
        writes = writes_to_operand(call)
        before = self._operands(call) if writes else None  # what is written to is another tensor afterwards
        if call.name in NAMES:  # how it comes out may count
            y = self._proceed(call.function, types, args, kwargs)
        else:
            y = tree_map_only(Tensor, _without_gradient, self.call_directly(call.function, args, kwargs))
        results = [call.leaves[0]] if writes else tree_flatten(y)[0]
        new = [at for at, one in enumerate(results) if isinstance(one, Tensor) and not self.is_live(one)]
        if not new:
            return y
        leaves, twins = before or self._operands(call)
        self.ranked.record_call(call, y, twins.get(0))
        again = repeatable(call, twins, results[new[0]])
        made = replace(call, function=again, leaves=leaves, dependent=tuple(twins))
        replay, compared = Replay(made, tuple(twins.values())), _compared(call.name, twins.values())
        for at in new:
            self.twins.record(results[at], Twin(replay, at, compared))
        return y

    def _look_up(self, call: Call, at: int, source: Twin, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that looks something up by an index, whose twin is the tensor that it ranks."""
        assert self.twins is not None
        leaves, twins = self._operands(call)
        twins = dict(sorted((twins | {at: source}).items()))
        again = replace(call, function=function, leaves=leaves, dependent=tuple(twins))
        twin, writes = Twin(Replay(again, tuple(twins.values()))), writes_in_place(call.name)
        if not (torch.is_grad_enabled() and any(isinstance(one, Tensor) and self.is_live(one) for one in call.leaves)):
            y = self.call_directly(call.function, args, kwargs)
            self.twins.record(args[0] if writes else y, twin)
            return y
        with torch.no_grad():
            values = call.function(leaves[0].clone(), *args[1:], **kwargs) if writes else call.function(*args, **kwargs)
        found = reveal(values, twin.resolve(self._replay), values.dtype)
        if found is None:
            return self._proceed(call.function, types, args, kwargs)
        self.mark(found)
        return self.run(Tensor.copy_, args[0], found) if writes else found

    def _change_picked(
        self, call: Call, twins: dict[int, Twin], mask: Tensor, types: Any, args: Any, kwargs: Any
    ) -> Tensor:
        """Make a call that changes each picked entry on its own; what it would make of the whole is followed."""
        again = replace(call, function=repeatable(call, (), mask), dependent=tuple(twins))
        whole = Twin(Replay(again, tuple(twins.values())))
        if writes_in_place(call.name):
            y: Tensor = self._proceed(call.function, types, args, kwargs)
        else:
            with torch.no_grad():  # its entries have no partners, unless they are put back
                y = self._hide(call, types, args, kwargs)
        self.picked.record(y, Picked(mask, whole))
        return y

    def _whole_to_put(self, call: Call) -> Tensor | None:
        """Return the tensor whose entries a call puts back where they were picked, or a constant; None for another."""
        assert self.twins is not None
        mask, value = call.leaves[1:]
        if self.twins.find(mask) is None:
            return None
        if (picked := self.picked.find(value)) is not None and are_equal(picked.mask, mask):
            return picked.whole.resolve(self._replay)
        is_constant = isinstance(value, Tensor) and not value.ndim and not self.is_live(value)
        return value if is_constant and call.name.startswith("index_put") else None

    def _put(self, call: Call, whole: Tensor) -> Any:
        """Choose by a mask between a tensor and another one."""
        assert self.twins is not None
        x, mask = call.leaves[:2]
        share = self._reveal(mask, cast(Twin, self.twins.find(mask)), x.dtype)
        return self.run(fill_in_place if writes_in_place(call.name) else fill, x, share, whole)

    def _operands(self, call: Call) -> tuple[list[Any], dict[int, Twin]]:
        """Return the arguments of a call, with a copy of a constant that it writes to, and the twins of the others."""
        twins = {at: one for at, one in enumerate(map(self._twin, call.leaves)) if one is not None}
        leaves = list(call.leaves)
        if writes_to_operand(call) and 0 not in twins:
            leaves[0] = leaves[0].clone()
        return leaves, twins

    def _twin(self, one: Any) -> Twin | None:
        """Return the twin of an operand; None for a constant."""
        assert self.twins is not None
        if not isinstance(one, Tensor):
            return None
        return Twin.of(self.keep(one), id(one)) if self.is_live(one) else self.twins.find(one)

    def _reveal_operands(self, call: Call, live: Sequence[int], mask: int | None) -> Call:
        """Return a call with the twins of its operands, but not of masks, indices and sizes that are only these."""
        assert self.twins is not None
        leaves, ids = list(call.leaves), {id(call.leaves[at]) for at in live}
        dtype = reduce(torch.promote_types, [leaves[at].dtype for at in live])
        for at, one in enumerate(leaves):
            twin = None if at in live else self.twins.find(one)
            if twin is None:
                continue
            if at == mask:
                # A rule of its own explains what is masked by a comparison of itself.
                needed = not (twin.compared is not None and twin.compared <= ids) and is_finite_choice(call)
            else:
                needed = one.dtype.is_floating_point or takes_numbers(call.name)
            if needed:
                leaves[at] = self._reveal(one, twin, dtype)
        return replace(call, leaves=leaves)

    def _reveal(self, hidden: Tensor, twin: Twin, dtype: torch.dtype) -> Tensor:
        """Return the values of a tensor with the gradient of its twin, or that tensor if this has none."""
        found = reveal(hidden, twin.resolve(self._replay), dtype)
        if found is None:
            return hidden
        self.mark(found)
        return found

    def _replay(self, call: Call, tensors: Sequence[Tensor]) -> Any:
        return self.run(call, *tensors)

    def _proceed(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Make a call as it is."""
        with self._without_twins():
            return self.__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _without_twins(self) -> Iterator[None]:
        before = self.twins, self.looks_for_twins
        self.twins, self.looks_for_twins = None, False
        try:
            yield
        finally:
            self.twins, self.looks_for_twins = before


def _without_gradient(y: Tensor) -> Tensor:
    """Return a result without a gradient; a view that is made without gradients requires one, which leads nowhere."""
    return y.detach() if y.requires_grad and y.is_leaf and y._is_view() else y


def _compared(name: str, twins: Iterable[Twin]) -> frozenset[int] | None:
    """Return the tensors that the result of a call masks, element by element; None if it may be another function."""
    found = [one.compared for one in twins]
    if name not in ELEMENTWISE_MASKS or any(one is None for one in found):
        return None
    return frozenset().union(*(one for one in found if one is not None))
