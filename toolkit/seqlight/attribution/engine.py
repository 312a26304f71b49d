"""Take a model through its sequences and their references, explaining every operation it meets.

A ``TorchFunctionMode`` sees each call of PyTorch, however it is spelled. The sequences go
through once, and what the rules need is recorded. The references go through with gradients,
and the i-th explained call meets the i-th record. The record serves every batch of references
of the same sequences.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.attribution import table
from seqlight.attribution.rules import Overwritten
from seqlight.attribution.table import Entry
from seqlight.errors import UnsupportedOperation


def _writes(func: Any) -> bool:
    return str(getattr(func, "__name__", "")).endswith("_")


@dataclass
class Record:
    """What the first pass leaves: the output of the sequences, and what each rule kept."""

    output: Any = None
    calls: list[tuple[str, Any]] = field(default_factory=list)


class _Watch(TorchFunctionMode):
    """Send each call that depends on the input to its rule, if it has one."""

    def __init__(self, rules: Mapping[Any, Entry]) -> None:
        super().__init__()
        self.rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        entry = self.rules.get(func)
        if not torch.is_grad_enabled() or (entry is None and not _writes(func)):
            return func(*args, **kwargs)
        leaves, structure = tree_flatten((args, kwargs))
        live = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad]
        if entry is None:
            if table.hides_in_place(func, len(live)):
                raise UnsupportedOperation(f"{func.__name__} has no rule and is not linear in the input")
            return func(*args, **kwargs)
        if not live or (entry.linear_in_first and live == [0] and not kwargs.get("rounding_mode")):
            return func(*args, **kwargs)
        if len(live) > 1:
            raise UnsupportedOperation(f"{entry.name} of {len(live)} tensors that all depend on the input has no rule")
        return self._meet(entry, leaves, structure, live[0])

    def _meet(self, entry: Entry, leaves: list[Any], structure: Any, at: int) -> Any:
        x = leaves[at]
        args, kwargs = tree_unflatten(leaves, structure)
        writes = entry.in_place or bool(kwargs.pop("inplace", False))
        returns_indices = bool(kwargs.pop("return_indices", False))
        _, structure = tree_flatten((args, kwargs))

        def op(value: Tensor) -> Any:
            args, kwargs = tree_unflatten([*leaves[:at], value, *leaves[at + 1 : structure.num_leaves]], structure)
            return entry.function(*args, **kwargs)

        y = self.explain(entry, op, x, writes)
        if returns_indices:
            return y, op(x.detach())[1]
        # The result of an in-place call is often ignored: what counts is what it wrote.
        return x.copy_(y) if writes else y

    def explain(self, entry: Entry, op: Any, x: Tensor, writes: bool) -> Tensor:
        raise NotImplementedError


class _Observe(_Watch):
    def __init__(self, rules: Mapping[Any, Entry], record: Record, copy: bool) -> None:
        super().__init__(rules)
        self.record, self.copy = record, copy

    def explain(self, entry: Entry, op: Any, x: Tensor, writes: bool) -> Tensor:
        y, kept = entry.rule.observe(op, x, self.copy or writes)
        self.record.calls.append((entry.name, kept))
        return y


class _Explain(_Watch):
    def __init__(self, rules: Mapping[Any, Entry], record: Record) -> None:
        super().__init__(rules)
        self.record, self.next = record, 0

    def explain(self, entry: Entry, op: Any, x: Tensor, writes: bool) -> Tensor:
        met = self.record.calls[self.next][0] if self.next < len(self.record.calls) else "the end"
        if met != entry.name:
            raise UnsupportedOperation(
                f"the references met {entry.name} where the sequences met {met}: "
                "a model whose course depends on its input cannot be explained"
            )
        kept = self.record.calls[self.next][1]
        self.next += 1
        return entry.rule.explain(op, x, kept)


def observe(
    model: nn.Module, X: Tensor, args: Sequence[Tensor], rules: Mapping[Any, Entry], *, copy: bool = False
) -> Record:
    """Take the sequences through `model` and record what the rules need.

    Parameters
    ----------
    model : torch.nn.Module
        Frozen, in evaluation mode.
    X : torch.Tensor, shape (sequences, ...)
        The input to explain.
    args : sequence of torch.Tensor
        Further inputs, which are not explained.
    rules : mapping
        From functions to entries of the table.
    copy : bool
        Record copies, for models that overwrite in place what a rule needs.
    """
    record = Record()
    # The graph only tells what depends on the input; nothing goes back through it, so it keeps nothing.
    with (
        torch.autograd.graph.saved_tensors_hooks(_nothing, _nothing),
        _naming_the_module(model),
        _Observe(rules, record, copy),
    ):
        output = model(X.detach().clone().requires_grad_().clone(), *args)
    record.output = _require_one_tensor(output).detach()
    return record


def _nothing(_: Any) -> Any:
    return None


def explain(
    model: nn.Module, references: Tensor, args: Sequence[Tensor], rules: Mapping[Any, Entry], record: Record
) -> tuple[Tensor, Tensor]:
    """Take references through `model`, explaining what was recorded of their sequences.

    Parameters
    ----------
    model, args, rules
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
        If an operation has no rule and is not linear.
    Overwritten
        If the model changed in place what was recorded: observe again with ``copy=True``.
    """
    leaf = references.detach().clone().requires_grad_()
    with _naming_the_module(model), _Explain(rules, record):
        output = _require_one_tensor(model(leaf.clone(), *args))
    ours = {entry.rule.backward for entry in rules.values()}
    escaped = unexplained(output, ours)
    if escaped is not None:
        where = _module_of(model, references, args, rules, record, ours)
        raise UnsupportedOperation(
            f"{table.operation_of(escaped)}{where} has no rule and is not linear in the input, so the attributions "
            "would be wrong: replace the operation, or leave that part of the model out."
        )
    if not output.requires_grad:
        raise UnsupportedOperation(
            "the model's output does not depend on its first input through differentiable operations: "
            "look for torch.no_grad(), detach() or integer conversion in forward."
        )
    return leaf, output


def unexplained(output: Tensor, ours: Collection[Any]) -> Any:
    """Return a node of the graph behind `output` that is neither one of `ours` nor linear, or None."""
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if not (_is_ours(node, ours) or table.is_linear(node)):
            return node
        waiting.extend(edge for edge, _ in node.next_functions)
    return None


def _is_ours(node: Any, ours: Collection[Any]) -> bool:
    function = getattr(type(node), "_forward_cls", None)
    # A user's own backward hooks pass gradients on as they are.
    return function in ours or function is torch.nn.modules._functions.BackwardHookFunction


def _require_one_tensor(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise UnsupportedOperation(
            f"the model returns a {type(output).__name__}: expected one tensor; "
            "wrap the model in a torch.nn.Module whose forward returns the output to explain."
        )
    return output


@contextlib.contextmanager
def _naming_the_module(model: nn.Module) -> Iterator[None]:
    """Add the module in whose forward an operation was refused to the error."""
    try:
        yield
    except UnsupportedOperation as error:
        frames, module = error.__traceback__, None
        while frames is not None:
            owner = frames.tb_frame.f_locals.get("self")
            module = owner if isinstance(owner, nn.Module) else module
            frames = frames.tb_next
        raise UnsupportedOperation(f"{error}{_name_of(model, module)}") from None


def _module_of(
    model: nn.Module,
    references: Tensor,
    args: Sequence[Tensor],
    rules: Mapping[Any, Entry],
    record: Record,
    ours: Collection[Any],
) -> str:
    """Return " in module ..." for the innermost module that has an unexplained node; runs the model again."""
    found: list[nn.Module] = []

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        tensors = [one for one in tree_flatten(output)[0] if isinstance(one, Tensor)]
        if not found and any(unexplained(one, ours) is not None for one in tensors):
            found.append(module)

    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        with _Explain(rules, record), contextlib.suppress(Overwritten):
            model(references.detach().clone().requires_grad_().clone(), *args)
    finally:
        handle.remove()
    return _name_of(model, found[0] if found else None)


def _name_of(model: nn.Module, module: nn.Module | None) -> str:
    for name, candidate in model.named_modules():
        if candidate is module:
            return f" in module {name or 'the model itself'!r} ({type(module).__name__})"
    return ""
