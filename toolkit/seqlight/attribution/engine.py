"""Take a model through its sequences and their references, explaining every operation it meets.

A ``TorchFunctionMode`` sees each call of PyTorch, however it is spelled. The sequences go
through once, and what the rules need is recorded. The references go through with gradients,
and the i-th explained call meets the i-th record. The record serves every batch of references
of the same sequences.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from seqlight.attribution import graph, table
from seqlight.attribution.averages import Integrated
from seqlight.attribution.naming import here, name_of, naming_the_module
from seqlight.attribution.opening import opened
from seqlight.attribution.recording import Call, Observed, Overwritten, Rule
from seqlight.attribution.rules import MaxPool, Rescale
from seqlight.attribution.table import Entry
from seqlight.errors import IntegratedWarning, UnsupportedOperation


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
    """

    rules: Mapping[Any, Entry]
    copy: bool = False
    careful: bool = False
    said: set[str] = field(default_factory=set)

    @cached_property
    def ours(self) -> set[Any]:
        """The autograd functions of all rules, and that of the first pass."""
        found: set[Any] = {Observed, Integrated.backward}
        for entry in self.rules.values():
            found |= {getattr(one, "backward", Observed) for one in (entry.alone, entry.together)}
        return found


class _Watch(TorchFunctionMode):
    """Send each call that depends on the input to its rule, if it has one."""

    def __init__(self, model: nn.Module, manner: Manner, record: Record) -> None:
        super().__init__()
        self.model, self.manner, self.record = model, manner, record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        entry = self.manner.rules.get(func)
        if isinstance(func, OpOverload | OpOverloadPacket):
            entry = self.manner.rules.get(getattr(torch, func.__name__.split(".")[0], None))
        if torch.is_grad_enabled() and entry is not None:
            return self._known(entry, func, args, kwargs)
        if torch.is_grad_enabled() and (self.manner.careful or _writes(func)):
            return self._unknown(func, args, kwargs)
        return func(*args, **kwargs)

    def _known(self, entry: Entry, func: Any, args: Any, kwargs: Any) -> Any:
        asked = dict(kwargs)
        writes = bool(asked.pop("inplace", False)) or entry.in_place
        indices = bool(asked.pop("return_indices", False)) if entry.indices is None else entry.indices
        if isinstance(entry.alone, MaxPool):
            asked.pop("return_indices", None)
        call = Call.of(entry.name, entry.function, args, asked)
        treatment = entry.treatment(call.live, bool(asked.get("rounding_mode")))
        if treatment is None and call.live and entry.name in table.GATES and _has_a_mask(call):
            treatment, call = Rescale(), call.broadcast()
        if treatment is None:
            return func(*args, **kwargs)
        if asked.get("out") is not None:
            raise UnsupportedOperation(f"{entry.name} with out= hides what depends on the input: use its result")
        y = self._treated(treatment, call.broadcast() if entry.broadcasts else call, writes)
        if isinstance(entry.alone, MaxPool):
            return y if indices else y[0]
        # The result of an in-place call is often ignored: what counts is what it wrote.
        return (args[0] if args else kwargs["input"]).copy_(y) if writes else y

    def _unknown(self, func: Any, args: Any, kwargs: Any) -> Any:
        call = Call.of(getattr(func, "__name__", "an operation"), func, args, kwargs)
        if call.live and table.hides_in_place(func):
            raise UnsupportedOperation(f"{call.name} has no rule and is not linear in the input")
        y = func(*args, **kwargs)
        if not call.live or not self.manner.careful:
            return y
        outputs = [one for one in tree_flatten(y)[0] if isinstance(one, Tensor)]
        escaped = graph.unexplained(outputs, self.manner.ours, call.tensors)
        if escaped is None:
            return y
        if getattr(escaped, "_saved_training", False):
            raise UnsupportedOperation(f"{call.name} takes its statistics from the batch, which mixes the sequences")
        return self._treated(opened(func) or Integrated(), call, False)

    def _treated(self, treatment: Any, call: Call, writes: bool) -> Any:
        if callable(treatment):
            args, kwargs = call.arguments()
            with self:
                return treatment(*args, **kwargs)
        if isinstance(treatment, Integrated):
            call = replace(call, where=here(self.model))
            self._say_once(call)
        return self.explain(treatment, call, self.manner.copy or writes)

    def _say_once(self, call: Call) -> None:
        if call.name not in self.manner.said:
            self.manner.said.add(call.name)
            warnings.warn(
                f"{call.name}{call.where} has no exact rule: its Jacobian is integrated numerically.",
                IntegratedWarning,
                stacklevel=5,
            )

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        raise NotImplementedError


class _Observe(_Watch):
    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        y, kept = rule.observe(call, copy)
        self.record.calls.append((call.name, kept))
        return y


class _Explain(_Watch):
    met = 0

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        name, kept = self.record.calls[self.met] if self.met < len(self.record.calls) else ("nothing", None)
        _require_same_course(call.name, name)
        self.met += 1
        return rule.explain(call, kept, copy)


def observe(model: nn.Module, X: Tensor, args: Sequence[Tensor], manner: Manner) -> Record:
    """Take the sequences through `model` and record what the rules need.

    Parameters
    ----------
    model : torch.nn.Module
        Frozen, in evaluation mode.
    X : torch.Tensor, shape (sequences, ...)
        The input to explain.
    args : sequence of torch.Tensor
        Further inputs, which are not explained.
    manner : Manner
        How to meet calls; becomes careful if something escapes.

    Raises
    ------
    UnsupportedOperation
        If an operation has no rule and is not linear.
    """
    record = Record()
    # The graph only tells what depends on the input; nothing goes back through it, so it keeps nothing.
    with torch.autograd.graph.saved_tensors_hooks(_nothing, _nothing), naming_the_module(model):
        with _Observe(model, manner, record):
            output = _require_one_tensor(model(X.detach().clone().requires_grad_().clone(), *args))
        if graph.unexplained([output], manner.ours) is not None:
            if manner.careful:
                _refuse_escaped(model, X, args, manner)
            manner.careful = True
            return observe(model, X, args, manner)
    _require_dependence(output)
    record.output = output.detach()
    return record


def _nothing(_: Any) -> Any:
    return None


def explain(
    model: nn.Module, references: Tensor, args: Sequence[Tensor], manner: Manner, record: Record
) -> tuple[Tensor, Tensor]:
    """Take references through `model`, explaining what was recorded of their sequences.

    Parameters
    ----------
    model, args, manner
        As in :func:`observe`, the further inputs repeated for each reference.
    references : torch.Tensor, shape (n * sequences, ...)
        The reference index is the major one.
    record : Record
        Of the sequences.

    Returns
    -------
    leaf : torch.Tensor, shape of `references`
        The gradient with respect to it is the multiplier.
    output : torch.Tensor
        The model's output on the references.

    Raises
    ------
    UnsupportedOperation
        If the references take another course through the model than their sequences.
    Overwritten
        If the model changed in place what was recorded: observe again and copy.
    """
    leaf = references.detach().clone().requires_grad_()
    watch = _Explain(model, manner, record)
    with naming_the_module(model):
        with watch:
            output = _require_one_tensor(model(leaf.clone(), *args))
        if watch.met < len(record.calls):
            _require_same_course("the end", record.calls[watch.met][0])
        _require_dependence(output)
        if graph.unexplained([output], manner.ours) is not None:
            _require_same_course("an operation without a rule", "none")
    return leaf, output


def _has_a_mask(call: Call) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.dtype == torch.bool for leaf in call.leaves)


def _writes(func: Any) -> bool:
    return str(getattr(func, "__name__", "")).endswith("_")


def _require_same_course(met: str, recorded: str) -> None:
    if met != recorded:
        raise UnsupportedOperation(
            f"the references met {met} where the sequences met {recorded}: "
            "a model whose course depends on its input cannot be explained"
        )


def _require_dependence(output: Tensor) -> None:
    if not output.requires_grad:
        raise UnsupportedOperation(
            "the model's output does not depend on its first input through differentiable operations: "
            "look for torch.no_grad(), detach() or integer conversion in forward."
        )


def _require_one_tensor(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise UnsupportedOperation(
            f"the model returns a {type(output).__name__}: expected one tensor; "
            "wrap the model in a torch.nn.Module whose forward returns the output to explain."
        )
    return output


def _refuse_escaped(model: nn.Module, X: Tensor, args: Sequence[Tensor], manner: Manner) -> None:
    """Run the model again and refuse what nothing explains, by the name of the first module that has it inside."""
    found: list[tuple[nn.Module, str]] = []

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        before, after = ([one for one in tree_flatten(some)[0] if isinstance(one, Tensor)] for some in (inputs, output))
        escaped = graph.unexplained(after, manner.ours)
        if not found and escaped is not None and graph.unexplained(before, manner.ours) is None:
            found.append((module, graph.operation_of(escaped)))

    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        with _Observe(model, manner, Record()), contextlib.suppress(Overwritten):
            model(X.detach().clone().requires_grad_().clone(), *args)
    finally:
        handle.remove()
    module, name = found[0] if found else (None, "an operation")
    raise UnsupportedOperation(
        f"{name} has no rule and is not linear in the input, so the attributions would be wrong: "
        f"replace the operation, or leave that part of the model out{name_of(model, module)}"
    )
