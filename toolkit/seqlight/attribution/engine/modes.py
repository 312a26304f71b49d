"""The modes that see each call of PyTorch, however it is spelled, and pass it to the rule of its operation.

Calls that depend on the input go to their rule in the table. A call that is not in the table is judged by what it adds
to autograd's graph.
"""

from __future__ import annotations

import types
import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket

from seqlight.attribution.calls.call import Call, Rule
from seqlight.attribution.calls.function_bodies import open_body
from seqlight.attribution.calls.leaves import CONTAINERS, may_contain_tensors, tensors_in
from seqlight.attribution.calls.record import Record, Snapshot
from seqlight.attribution.engine import graph_check
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.engine.twin_mode import TwinMode
from seqlight.attribution.engine.twins import Twins
from seqlight.attribution.rules import operation_names
from seqlight.attribution.rules.comparisons import Compare, Piecewise
from seqlight.attribution.rules.elementwise import Rescale
from seqlight.attribution.rules.numerical_integration import Integrated, SimplexFunction
from seqlight.attribution.rules.simplex_projections import recognize
from seqlight.attribution.rules.table_entry import Entry
from seqlight.errors import IntegratedWarning, UnsupportedOperation
from seqlight.prediction.module_names import count_frames_outside, describe_current_module

_OPERATORS = (OpOverload, OpOverloadPacket)
# Functions of PyTorch itself. Others may be made for one call, and hold a model or its tensors.
_LASTING = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType)
# Rules that tell the user that they integrate, and in which module.
_ANNOUNCED = (Integrated, Piecewise)


class CallMode(TwinMode):
    """Passes each call that depends on the input to the rule of its operation.

    Parameters
    ----------
    model : torch.nn.Module
        Used for the names of its modules.
    policy : CallPolicy
    record : Record
        What is recorded of the sequences for their references.
    """

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record) -> None:
        super().__init__()
        self.model, self.policy, self.record = model, policy, record
        # What does not change during a pass: each model makes hundreds of calls in it.
        self._rules, self._traceless = policy.rules, frozenset[Any]() if policy.inspect else policy.traceless

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Most calls explain nothing: they leave here first.
        kwargs = kwargs or {}
        entry = self._rules.get(func)
        if self.twins is not None and self.meets_twins(func, args, kwargs, entry is not None and entry.hides):
            return self.call_with_twins(func, types, args, kwargs)
        if entry is None:
            if func in self._traceless or (not self.policy.inspect and self._leaves_no_trace(func)):
                return self.call_directly(func, args, kwargs)
            entry = self._entry_of_operator(func) if isinstance(func, _OPERATORS) else None
        in_graph = torch.is_grad_enabled()
        if not in_graph or (entry is not None and entry.hides):
            if self.looks_for_twins and self.twins is None:
                self.twins = Twins()
                return self.__torch_function__(func, types, args, kwargs)
            if not in_graph:
                return self.call_directly(func, args, kwargs)
        if entry is None:
            return self._call_unlisted(func, args, kwargs)
        while entry.fused is not None and (fused := entry.fused(*args, **kwargs)) is not None:
            (func, args), kwargs = fused, {}
            entry = self._rules[func]
        if entry.is_product and _is_linear(args, kwargs):
            return self.call_directly(self.policy.kernel(entry, func), args, kwargs)
        call, treatment, in_place = self._resolve(entry, args, kwargs)
        if treatment is None:
            return self.call_directly(self.policy.kernel(entry, func), args, kwargs)
        if callable(treatment):
            y = self._run_decomposed(treatment, call)
        else:
            if isinstance(treatment, _ANNOUNCED):
                call = replace(call, location=describe_current_module(self.model))
                treatment = self._with_warning(treatment, call)
            y = self.explain(treatment, call, self.policy.copy or in_place)
        if entry.is_pooling:
            return y if call.returns_indices else y[0]
        # The result of an in-place call is often ignored: what it wrote is what counts.
        return (args[0] if args else kwargs["input"]).copy_(y) if in_place else y

    def call_directly(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule."""
        return func(*args, **kwargs)

    def is_live(self, x: Tensor) -> bool:
        """Return whether a tensor depends on the input with a gradient."""
        if not x.requires_grad:
            return False
        try:  # a view that is made without gradients requires one, and leads nowhere
            return not x.is_leaf
        except RuntimeError:  # nor does one whose base was written to since
            return False

    def keep(self, x: Tensor) -> Tensor:
        """Return such a tensor as it is now, for a call that is made later."""
        found: Tensor = self.run(torch.clone, x) if self.policy.copy else x
        return found

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call that a rule explains."""
        raise NotImplementedError

    def _leaves_no_trace(self, func: Any) -> bool:
        """Return whether calls of a function that is not in the table need no look at their arguments."""
        if isinstance(func, _OPERATORS) or operation_names.hides_in_place(func):
            return False
        if isinstance(func, _LASTING):
            self.policy.traceless.add(func)
        return True

    def retract(self) -> None:
        """Take back the last direct call, which was only a trial: a rule makes it again."""

    def _resolve(self, entry: Entry, args: Any, kwargs: Any) -> tuple[Call, Any, bool]:
        """Return a call as rules take it, what explains it (None if it is linear), and whether it is in place."""
        call, options, in_place = make_call(entry, args, kwargs)
        treatment = entry.treatment(call.dependent, bool(options) and bool(options.get("rounding_mode")))
        if treatment is None and is_gate(entry, call):
            treatment, call = Rescale(), call.broadcast()
        if isinstance(treatment, Compare):
            self.policy.regions.compares = True
            treatment = treatment if self.policy.regions.checks_comparisons else None
        if treatment is None:
            return call, None, in_place
        if options and options.get("out") is not None:
            raise UnsupportedOperation(f"{entry.name} with out= hides what depends on the input: use its result.")
        return call.broadcast() if entry.broadcasts else call, treatment, in_place

    def _entry_of_operator(self, func: Any) -> Entry | None:
        """Return the entry of an operator, as exported programs call it, found by the functions of its name."""
        name = func.__name__.split(".")[0]
        entry = self.policy.rules.get(getattr(torch, name, None))
        if entry is not None or name.endswith("_"):
            return entry
        entries = [one for one in map(self.policy.rules.get, operation_names.spellings(name)) if one is not None]
        # Its further arguments may have another order than those of the function of that name.
        same = name in operation_names.SAME_ARGUMENTS
        found = next((one for one in entries if same or isinstance(one.one_operand, Rescale)), None)
        return None if found is None else replace(found, function=func)

    def _call_unlisted(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that is not in the table; integrate it unless it is linear."""
        call = Call.from_arguments(getattr(func, "__name__", "an operation"), func, args, kwargs)
        # A parameter that the forward makes and fills, as nn.PReLU() does there, is a leaf of its own.
        if operation_names.hides_in_place(func) and not all(one.is_leaf for one in call.tensors):
            raise UnsupportedOperation(
                f"{call.name} has no rule and is not linear in the input: replace it, or leave that part of the model "
                "out."
            )
        y = self.call_directly(func, args, kwargs)
        if not call.dependent or not self.policy.inspect:
            return y
        outputs = tensors_in(y)
        node = graph_check.find_unexplained(outputs, self.policy.explained_by, call.tensors)
        if node is None:
            return y
        if getattr(node, "_saved_training", False):
            raise UnsupportedOperation(
                f"{call.name} takes its statistics from the batch, which mixes the sequences: "
                "pass it running statistics and training=self.training."
            )
        if call.name.startswith("to_sparse"):  # entries that happen to be 0 would have no gradient
            raise UnsupportedOperation("a tensor that depends on the input becomes a sparse one: keep it dense.")
        self.retract()
        body = open_body(func)
        if body is not None:
            return self._run_decomposed(body, call)
        call = replace(call, location=describe_current_module(self.model))
        found = recognize(call.tensors[0], outputs[0]) if len(call.tensors) == len(outputs) == 1 else None
        if found is not None:
            return self.explain(SimplexFunction(found, partial(self._warn_once, call)), call, self.policy.copy)
        return self.explain(self._with_warning(Integrated(), call), call, self.policy.copy)

    def _run_decomposed(self, function: Any, call: Call) -> Any:
        """Make a call by `function`, which composes it of simpler ones."""
        args, kwargs = call.arguments()
        with self.as_it_is():
            return function(*args, **kwargs)

    def _with_warning(self, rule: Integrated | Piecewise, call: Call) -> Integrated | Piecewise:
        """Return a rule that warns the user, once for each name of an operation, that it integrates."""
        if isinstance(rule, Piecewise):  # only its backward pass knows whether it integrates
            return replace(rule, announce=partial(self._warn_once, call))
        self._warn_once(call)
        return rule

    def _warn_once(self, call: Call) -> None:
        if call.name not in self.policy.announced:
            self.policy.announced.add(call.name)
            warnings.warn(
                f"{call.name}{call.location} has no exact rule: its Jacobian is integrated numerically.",
                IntegratedWarning,
                stacklevel=count_frames_outside("seqlight.", "torch."),
            )


class SequenceMode(CallMode):
    """The mode of the pass of the sequences: each rule records what it will need."""

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call, and record what its rule keeps of it."""
        y, kept = rule.observe(call, copy)
        self.record.calls.append((call.name, kept))
        return y

    def meet(self, name: str, y: Tensor) -> Snapshot | None:
        """Record a tensor that is no result of a rule."""
        self.record.calls.append((name, Snapshot.take(y, self.policy.copy)))
        return None


class ReferenceMode(CallMode):
    """The mode of the pass of the references: each rule gets what it recorded."""

    position = 0

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call, with the multiplier of its rule as its backward pass."""
        return rule.explain(call, self._next(call.name), copy)

    def meet(self, name: str, y: Tensor) -> Snapshot | None:
        """Return what was recorded of the sequences in place of a tensor that is no result of a rule."""
        found: Snapshot = self._next(name)
        return found

    def _next(self, made: str) -> Any:
        """Return what was recorded at the call that is made now."""
        calls = self.record.calls
        name, kept = calls[self.position] if self.position < len(calls) else ("nothing", None)
        require_same_call(made, name)
        self.position += 1
        return kept


def _is_linear(args: Any, kwargs: Any) -> bool:
    """Return whether at most one argument of a product depends on the input, by a quick look at them."""
    dependent = 0
    for one in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(one, Tensor):
            if one.dtype == torch.bool:  # a mask may be made of what it multiplies
                return False
            dependent += one.requires_grad
        elif isinstance(one, CONTAINERS) and may_contain_tensors(one):
            return False
    return dependent < 2 and "out" not in kwargs


def make_call(entry: Entry, args: Any, kwargs: Any) -> tuple[Call, dict[str, Any], bool]:
    """Return a call as rules take it, its arguments by name, and whether it writes to its first argument."""
    in_place, indices, options = entry.in_place, entry.indices, kwargs
    if kwargs:
        options = dict(kwargs)
        in_place = bool(options.pop("inplace", False)) or in_place
        asked = options.pop("return_indices", False) if indices is None or entry.is_pooling else False
        indices = bool(asked) if indices is None else indices
    return Call.from_arguments(entry.name, entry.function, args, options, bool(indices)), options, in_place


def is_gate(entry: Entry, call: Call) -> bool:
    """Return whether a call multiplies by a mask, which may be made of what it multiplies."""
    if not call.dependent or entry.name not in operation_names.GATES:
        return False
    return any(isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in call.leaves)


def require_same_call(made: str, recorded: str) -> None:
    """Raise UnsupportedOperation if the references made a different call from their sequences."""
    if made != recorded:
        raise UnsupportedOperation(
            f"the references reached {made} where the sequences reached {recorded}, and a model whose control flow "
            "depends on its input cannot be explained: let torch.where choose between both branches."
        )
