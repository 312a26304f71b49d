"""The modes that see each call of PyTorch, however it is spelled, and send it to the rule of its operation.

Calls that depend on the input go to the rule that the table has for them. A call that the table does not have is judged
by what it adds to autograd's graph.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.call import Call, Rule, may_contain_tensors
from seqlight.attribution.calls.function_bodies import open_body
from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine import graph_check
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules import operation_names
from seqlight.attribution.rules.comparisons import Compare, Piecewise
from seqlight.attribution.rules.elementwise import Rescale
from seqlight.attribution.rules.entry import Entry
from seqlight.attribution.rules.integrated import Integrated
from seqlight.attribution.rules.pooling import MaxPool
from seqlight.errors import IntegratedWarning, UnsupportedOperation
from seqlight.prediction.module_names import describe_current_module


class CallMode(TorchFunctionMode):
    """Sends each call that depends on the input to the rule of its operation.

    Parameters
    ----------
    model : torch.nn.Module
        For the names of its modules.
    policy : CallPolicy
    record : Record
        What the sequences leave for their references.
    """

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record) -> None:
        super().__init__()
        self.model, self.policy, self.record = model, policy, record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        entry = self.policy.rules.get(func)
        if entry is None:
            if isinstance(func, OpOverload | OpOverloadPacket):
                entry = self._entry_of_operator(func)
            elif not self.policy.inspect and not operation_names.hides_in_place(func):
                return self.plain(func, args, kwargs)
        if not torch.is_grad_enabled():
            return self.plain(func, args, kwargs)
        if entry is None:
            return self._call_unlisted(func, args, kwargs)
        while entry.fused is not None and (fused := entry.fused(*args, **kwargs)) is not None:
            (func, args), kwargs = fused, {}
            entry = self.policy.rules[func]
        if entry.alone is None and entry.fused is None and _is_linear(args, kwargs):
            return self.plain(self.policy.kernel(entry, func), args, kwargs)
        call, treatment, in_place = self._call_and_treatment(entry, args, kwargs)
        if treatment is None:
            return self.plain(self.policy.kernel(entry, func), args, kwargs)
        if callable(treatment):
            y = self._decomposed(treatment, call)
        else:
            if isinstance(treatment, Integrated | Piecewise):
                call = replace(call, location=describe_current_module(self.model))
                treatment = self._announced(treatment, call)
            y = self.explain(treatment, call, self.policy.copy or in_place)
        if isinstance(entry.alone, MaxPool):
            return y if call.returns_indices else y[0]
        # The result of an in-place call is often ignored: what counts is what it wrote.
        return (args[0] if args else kwargs["input"]).copy_(y) if in_place else y

    def plain(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule."""
        return func(*args, **kwargs)

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call that a rule explains."""
        raise NotImplementedError

    def retract(self) -> None:
        """Hear that the last plain call was only a trial: a rule makes it again."""

    def _call_and_treatment(self, entry: Entry, args: Any, kwargs: Any) -> tuple[Call, Any, bool]:
        """Return a call as the rules take it, what explains it (None if it is linear), and whether it is in place."""
        asked = dict(kwargs)
        in_place = bool(asked.pop("inplace", False)) or entry.in_place
        indices = bool(asked.pop("return_indices", False)) if entry.indices is None else entry.indices
        if isinstance(entry.alone, MaxPool):
            asked.pop("return_indices", None)
        call = Call.from_arguments(entry.name, entry.function, args, asked, indices)
        treatment = entry.treatment(call.dependent, bool(asked.get("rounding_mode")))
        if treatment is None and call.dependent and entry.name in operation_names.GATES and _has_a_mask(call):
            treatment, call = Rescale(), call.broadcast()
        if isinstance(treatment, Compare):
            self.policy.regions.compares = True
            treatment = treatment if self.policy.regions.checks_comparisons else None
        if treatment is None:
            return call, None, in_place
        if asked.get("out") is not None:
            raise UnsupportedOperation(f"{entry.name} with out= hides what depends on the input: use its result")
        return call.broadcast() if entry.broadcasts else call, treatment, in_place

    def _entry_of_operator(self, func: Any) -> Entry | None:
        """Return what explains an operator, as exported programs call it, by the functions of its name."""
        name = func.__name__.split(".")[0]
        entry = self.policy.rules.get(getattr(torch, name, None))
        if entry is not None or name.endswith("_"):
            return entry
        entries = [one for one in map(self.policy.rules.get, operation_names.spellings(name)) if one is not None]
        # Further arguments may have another order than those of the function of the same name.
        same = name in operation_names.SAME_ARGUMENTS
        found = next((one for one in entries if same or isinstance(one.alone, Rescale)), None)
        return None if found is None else replace(found, function=func)

    def _call_unlisted(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that the table does not have; integrate it unless it is linear."""
        call = Call.from_arguments(getattr(func, "__name__", "an operation"), func, args, kwargs)
        if call.dependent and operation_names.hides_in_place(func):
            raise UnsupportedOperation(
                f"{call.name} has no rule and is not linear in the input: "
                "replace the operation, or leave that part of the model out"
            )
        if not call.dependent or not self.policy.inspect:
            return self.plain(func, args, kwargs)
        y = self.plain(func, args, kwargs)
        outputs = [one for one in tree_flatten(y)[0] if isinstance(one, Tensor)]
        node = graph_check.unexplained(outputs, self.policy.explained_by, call.tensors)
        if node is None:
            return y
        if getattr(node, "_saved_training", False):
            raise UnsupportedOperation(
                f"{call.name} takes its statistics from the batch, which mixes the sequences: "
                "pass it running statistics and training=self.training"
            )
        if call.name.startswith("to_sparse"):  # entries that are 0 by chance have no gradient there
            raise UnsupportedOperation("a tensor that depends on the input becomes a sparse one: keep it dense")
        self.retract()
        body = open_body(func)
        if body is not None:
            return self._decomposed(body, call)
        call = replace(call, location=describe_current_module(self.model))
        return self.explain(self._announced(Integrated(), call), call, self.policy.copy)

    def _decomposed(self, function: Any, call: Call) -> Any:
        """Run a call as `function`, which makes it of simpler ones."""
        args, kwargs = call.arguments()
        with self:
            return function(*args, **kwargs)

    def _announced(self, rule: Integrated | Piecewise, call: Call) -> Integrated | Piecewise:
        """Return a rule of which the user is warned, once for each operation's name, that it integrates."""
        if isinstance(rule, Piecewise):  # it is known on the way back whether it does
            return replace(rule, announce=partial(self._warn_once, call))
        self._warn_once(call)
        return rule

    def _warn_once(self, call: Call) -> None:
        if call.name not in self.policy.announced:
            self.policy.announced.add(call.name)
            warnings.warn(
                f"{call.name}{call.location} has no exact rule: its Jacobian is integrated numerically.",
                IntegratedWarning,
                stacklevel=4,
            )


class SequenceMode(CallMode):
    """The mode of the sequences' pass: each rule records what it will need."""

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call, and record what its rule keeps of it."""
        y, kept = rule.observe(call, copy)
        self.record.calls.append((call.name, kept))
        return y


class ReferenceMode(CallMode):
    """The mode of the references' pass: each rule gets what it recorded."""

    position = 0

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call with the multiplier of its rule as the way back."""
        calls = self.record.calls
        name, kept = calls[self.position] if self.position < len(calls) else ("nothing", None)
        require_same_course(call.name, name)
        self.position += 1
        return rule.explain(call, kept, copy)


class KernelMode(TorchFunctionMode):
    """Explains nothing: each call is made by the fastest kernel that there is."""

    def __init__(self, policy: CallPolicy) -> None:
        super().__init__()
        self.policy = policy

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        entry = self.policy.rules.get(func)
        return (func if entry is None else self.policy.kernel(entry, func))(*args, **(kwargs or {}))


def _is_linear(args: Any, kwargs: Any) -> bool:
    """Return whether one tensor of a product depends on the input, and it is plain to see."""
    live = 0
    for one in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(one, Tensor):
            if one.dtype == torch.bool:  # a mask may be made of what it multiplies
                return False
            live += one.requires_grad
        elif isinstance(one, list | tuple | dict) and may_contain_tensors(one):
            return False
    return live < 2 and "out" not in kwargs


def _has_a_mask(call: Call) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in call.leaves)


def require_same_course(made: str, recorded: str) -> None:
    """Raise UnsupportedOperation if the references made another call than their sequences."""
    if made != recorded:
        raise UnsupportedOperation(
            f"the references met {made} where the sequences met {recorded}: "
            "a model whose course depends on its input cannot be explained: let torch.where choose between both courses"
        )
