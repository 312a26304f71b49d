"""What each call of PyTorch meets on its way: its rule, if it has one.

A ``TorchFunctionMode`` sees each call, however it is spelled. Of calls that depend on the input, those
that the table knows go to their rules; what it does not know is judged by what it leaves in the graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.call import Call, Observed, Rule, may_hold_tensors
from seqlight.attribution.calls.function_bodies import opened
from seqlight.attribution.engine import graph_check
from seqlight.attribution.engine.outline import Outline
from seqlight.attribution.kernels.convolution import Convolution
from seqlight.attribution.kernels.linear import Linear
from seqlight.attribution.kernels.unbind import Unbound
from seqlight.attribution.rules import operation_names
from seqlight.attribution.rules.comparisons import Compare, Piecewise
from seqlight.attribution.rules.elementwise import Rescale
from seqlight.attribution.rules.integrated import Integrated
from seqlight.attribution.rules.pooling import MaxPool
from seqlight.attribution.rules.table import Entry, rules
from seqlight.errors import IntegratedWarning, UnsupportedOperation
from seqlight.prediction.module_names import describe_current_module


@dataclass
class Record:
    """What the first pass leaves: the output of the sequences, and what each rule kept."""

    output: Any = None
    calls: list[tuple[str, Any]] = field(default_factory=list)


@dataclass
class Manner:
    """How the calls of one model are met.

    Parameters
    ----------
    rules : mapping
        From functions to entries of the table.
    copy : bool
        Record copies, for a model that overwrites in place what a rule needs.
    careful : bool
        Look at what each call leaves in the graph, for a model with operations that the table does not have.
    said : set of str
        Operations of which was said that they are integrated numerically.
    alike : bool
        References are like their sequences nearly everywhere. What is faster may round a position by what stands beside
        it, and where nothing differs nothing may: a secant over rounding is noise.
    """

    rules: MutableMapping[Any, Entry]
    copy: bool = False
    careful: bool = False
    said: set[str] = field(default_factory=set)
    alike: bool = False
    outline: Outline = field(default_factory=Outline)

    def sooner(self, entry: Entry, func: Any) -> Any:
        """Return what gives the same as `func`, and may take less time."""
        return func if self.alike or entry.sooner is None else entry.sooner

    @cached_property
    def ours(self) -> frozenset[Any]:
        """The autograd functions of all rules, and that of the first pass."""
        known = rules()
        own = (entry for function, entry in self.rules.items() if known.get(function) is not entry)
        return _functions_of_the_table() | _functions_of(own)


class Watch(TorchFunctionMode):
    """Send each call that depends on the input to its rule, if it has one."""

    def __init__(self, model: nn.Module, manner: Manner, record: Record) -> None:
        super().__init__()
        self.model, self.manner, self.record = model, manner, record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        entry = self.manner.rules.get(func)
        if entry is None:
            if isinstance(func, OpOverload | OpOverloadPacket):
                entry = self._entry_of(func)
            elif not self.manner.careful and not operation_names.hides_in_place(func):
                return self.plain(func, args, kwargs)
        if not torch.is_grad_enabled():
            return self.plain(func, args, kwargs)
        return self._unknown(func, args, kwargs) if entry is None else self._known(entry, func, args, kwargs)

    def _entry_of(self, func: Any) -> Entry | None:
        """Return what explains an operator, as exported programs call it, by the functions of its name."""
        name = func.__name__.split(".")[0]
        entry = self.manner.rules.get(getattr(torch, name, None))
        if entry is not None or name.endswith("_"):
            return entry
        entries = [one for one in map(self.manner.rules.get, operation_names.spellings(name)) if one is not None]
        # Further arguments may have another order than those of the function of the same name.
        same = name in operation_names.OF_EQUAL_ARGUMENTS
        found = next((one for one in entries if same or isinstance(one.alone, Rescale)), None)
        return None if found is None else replace(found, function=func)

    def _known(self, entry: Entry, func: Any, args: Any, kwargs: Any) -> Any:
        if entry.alone is None and entry.at_once is None and _is_linear(args, kwargs):
            return self.plain(self.manner.sooner(entry, func), args, kwargs)
        at_once = None if entry.at_once is None else entry.at_once(*args, **kwargs)
        if at_once is not None:
            func, args = at_once
            return self._known(self.manner.rules[func], func, args, {})
        asked = dict(kwargs)
        writes = bool(asked.pop("inplace", False)) or entry.in_place
        indices = bool(asked.pop("return_indices", False)) if entry.indices is None else entry.indices
        if isinstance(entry.alone, MaxPool):
            asked.pop("return_indices", None)
        call = Call.of(entry.name, entry.function, args, asked, indices)
        treatment = entry.treatment(call.live, bool(asked.get("rounding_mode")))
        if treatment is None and call.live and entry.name in operation_names.GATES and _has_a_mask(call):
            treatment, call = Rescale(), call.broadcast()
        if isinstance(treatment, Compare):
            self.manner.outline.compares = True
            treatment = treatment if self.manner.outline.waits else None
        if treatment is None:
            return self.plain(self.manner.sooner(entry, func), args, kwargs)
        if asked.get("out") is not None:
            raise UnsupportedOperation(f"{entry.name} with out= hides what depends on the input: use its result")
        y = self._treated(treatment, call.broadcast() if entry.broadcasts else call, writes)
        if isinstance(entry.alone, MaxPool):
            return y if indices else y[0]
        # The result of an in-place call is often ignored: what counts is what it wrote.
        return (args[0] if args else kwargs["input"]).copy_(y) if writes else y

    def _unknown(self, func: Any, args: Any, kwargs: Any) -> Any:
        call = Call.of(getattr(func, "__name__", "an operation"), func, args, kwargs)
        if call.live and operation_names.hides_in_place(func):
            raise UnsupportedOperation(
                f"{call.name} has no rule and is not linear in the input: "
                "replace the operation, or leave that part of the model out"
            )
        if not call.live or not self.manner.careful:
            return self.plain(func, args, kwargs)
        y = self.plain(func, args, kwargs)
        outputs = [one for one in tree_flatten(y)[0] if isinstance(one, Tensor)]
        escaped = graph_check.unexplained(outputs, self.manner.ours, call.tensors)
        if escaped is None:
            return y
        if getattr(escaped, "_saved_training", False):
            raise UnsupportedOperation(
                f"{call.name} takes its statistics from the batch, which mixes the sequences: "
                "pass it running statistics and training=self.training"
            )
        if call.name.startswith("to_sparse"):  # entries that are 0 by chance have no gradient there
            raise UnsupportedOperation("a tensor that depends on the input becomes a sparse one: keep it dense")
        self.retract()
        return self._treated(opened(func) or Integrated(), call, False)

    def _treated(self, treatment: Any, call: Call, writes: bool) -> Any:
        if callable(treatment):
            args, kwargs = call.arguments()
            with self:
                return treatment(*args, **kwargs)
        if isinstance(treatment, Integrated):
            call = replace(call, where=describe_current_module(self.model))
            self._say_once(call)
        if isinstance(treatment, Piecewise):
            call = replace(call, where=describe_current_module(self.model))
            treatment = replace(treatment, tell=partial(self._say_once, call))
        return self.explain(treatment, call, self.manner.copy or writes)

    def _say_once(self, call: Call) -> None:
        if call.name not in self.manner.said:
            self.manner.said.add(call.name)
            warnings.warn(
                f"{call.name}{call.where} has no exact rule: its Jacobian is integrated numerically.",
                IntegratedWarning,
                stacklevel=5,
            )

    def plain(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule."""
        return func(*args, **kwargs)

    def retract(self) -> None:
        """Hear that the last plain call was only tried, and that a rule makes it again."""

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call that a rule explains."""
        raise NotImplementedError


class Observe(Watch):
    """The first pass, of the sequences: each rule keeps what it will need."""

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Add what the rule keeps to the record."""
        y, kept = rule.observe(call, copy)
        self.record.calls.append((call.name, kept))
        return y


class Explain(Watch):
    """The second pass, of the references: each rule meets what it kept."""

    met = 0

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Find the record of the call, and let its rule make the way back."""
        name, kept = self.record.calls[self.met] if self.met < len(self.record.calls) else ("nothing", None)
        require_same_course(call.name, name)
        self.met += 1
        return rule.explain(call, kept, copy)


class Sooner(TorchFunctionMode):
    """Nothing is explained: calls are made as they are, or what gives the same in less time."""

    def __init__(self, manner: Manner) -> None:
        super().__init__()
        self.manner = manner

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        entry = self.manner.rules.get(func)
        return (func if entry is None else self.manner.sooner(entry, func))(*args, **(kwargs or {}))


def _functions_of(entries: Iterable[Entry]) -> frozenset[Any]:
    found = (getattr(one, "backward", None) for entry in entries for one in (entry.alone, entry.together))
    return frozenset(one for one in found if one is not None)


@cache
def _functions_of_the_table() -> frozenset[Any]:
    first: frozenset[Any] = frozenset((Observed, Convolution, Linear, Unbound, Integrated.backward, Rescale().backward))
    return first | _functions_of(rules().values())


def _is_linear(args: Any, kwargs: Any) -> bool:
    """Return whether one tensor of a product depends on the input, and it is plain to see."""
    live = 0
    for one in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(one, Tensor):
            if one.dtype == torch.bool:  # a mask may be made of what it multiplies
                return False
            live += one.requires_grad
        elif isinstance(one, list | tuple | dict) and may_hold_tensors(one):
            return False
    return live < 2 and "out" not in kwargs


def _has_a_mask(call: Call) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in call.leaves)


def require_same_course(met: str, recorded: str) -> None:
    """Raise UnsupportedOperation if the references met another operation than their sequences."""
    if met != recorded:
        raise UnsupportedOperation(
            f"the references met {met} where the sequences met {recorded}: "
            "a model whose course depends on its input cannot be explained: let torch.where choose between both courses"
        )
