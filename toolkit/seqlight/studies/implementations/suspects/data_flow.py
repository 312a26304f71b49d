"""Which modules get the results of which, in one call of a model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from seqlight.attribution.audit.operations import view_base
from seqlight.prediction.module_names import plain_name
from seqlight.studies.implementations.implementation import INPUTS
from seqlight.studies.implementations.suspects.audited_operation import read_operations

if TYPE_CHECKING:
    import pandas as pd

ModuleTest = Callable[[nn.Module], bool]


@dataclass(frozen=True)
class InPlaceWrite:
    """A function that changes the result of a module, or its own operand.

    Attributes
    ----------
    operation : str
    path : str
        Of the module that calls it.
    changed : str
        Of the module whose result it changes; that of the caller itself, if it changes its operand.
    """

    operation: str
    path: str
    changed: str


@dataclass
class DataFlow:
    """What happened to the operands and results of some modules of a model.

    Attributes
    ----------
    calls : Counter of str
        How often each module was called, by path.
    previous : dict of str to str
        For a module that got the very result of another of these modules, and no copy: the other, as "ReLU in `1`".
    shared : dict of str to str
        For a module whose operand is used by something else, too: by what, such as "add".
    writes : list of InPlaceWrite
    """

    calls: Counter[str] = field(default_factory=Counter)
    previous: dict[str, str] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    writes: list[InPlaceWrite] = field(default_factory=list)


def read_data_flow(model: nn.Module, operations: pd.DataFrame, is_hooked: ModuleTest) -> DataFlow:
    """Return the data flow among the modules that `is_hooked`.

    It is recorded in a call of the model with the inputs in ``operations.attrs["inputs"]``. Without them, or if the
    call fails, modules in neighbouring rows of the table count as connected.
    """
    inputs = operations.attrs.get(INPUTS)
    if inputs is not None:
        try:
            return _FlowMode(model, is_hooked).record(inputs)
        except Exception:
            pass
    return _assume_data_flow(model, operations, is_hooked)


def _assume_data_flow(model: nn.Module, operations: pd.DataFrame, is_hooked: ModuleTest) -> DataFlow:
    flow, before = DataFlow(), None
    for _, row in operations.iterrows():
        one = next(iter(read_operations(model, row.to_frame().T)), None)
        path = one.path if one is not None and is_hooked(one.module) else None
        if path is not None:
            flow.calls[path] += int(row["calls"])
            if before is not None:
                flow.previous[path] = before
        before = path and _describe(model, path)
    return flow


def _describe(model: nn.Module, path: str) -> str:
    name = type(model.get_submodule(path)).__name__
    return f"{name} in `{path}`" if path else name


class _FlowMode(TorchFunctionMode):
    """Observes the calls of functions, and with hooks those of modules."""

    def __init__(self, model: nn.Module, is_hooked: ModuleTest) -> None:
        super().__init__()
        self._model = model
        self._hooked = {name: one for name, one in model.named_modules() if is_hooked(one)}
        self._names = {id(one): name for name, one in model.named_modules(remove_duplicate=True)}
        self._running: list[tuple[str, Tensor | None]] = []
        self._stack: list[str] = []
        self._depth = 0
        # By the id of a tensor; all are kept, so that no other gets its id.
        self._made: dict[int, str] = {}
        self._users: dict[int, list[str]] = defaultdict(list)
        self._operands: list[tuple[str, Tensor]] = []
        self._kept: list[Tensor] = []
        self.flow = DataFlow()

    def record(self, inputs: tuple[Tensor, ...]) -> DataFlow:
        """Call the model and return what was observed."""
        handles = [one.register_forward_pre_hook(self._begin) for one in self._model.modules()]
        handles += [one.register_forward_hook(self._end) for one in self._model.modules()]
        first = inputs[0].detach().clone().requires_grad_()
        try:
            with torch.enable_grad(), self:
                # A clone, because a model may write to its input, and writing to a leaf is an error.
                self._model(first.clone(), *inputs[1:])
        finally:
            for handle in handles:
                handle.remove()
        for path, operand in self._operands:
            others = [user for user in self._users[id(operand)] if user != path]
            if others:
                self.flow.shared.setdefault(path, others[0])
        return self.flow

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._depth:
            return func(*args, **kwargs)
        self._depth += 1
        try:
            given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
            versions = [one._version for one in given]
            y = func(*args, **kwargs)
            results = [one for one in tree_leaves(y) if isinstance(one, Tensor)]
            for one, version in zip(given, versions, strict=True):
                if one._version != version:
                    self._record_write(plain_name(func), one)
            # One that returns its argument, such as dropout in evaluation mode, is no use of it.
            if any(one.requires_grad for one in results) and not any(a is b for a in results for b in given):
                self._record_use(plain_name(func), given)
            return y
        finally:
            self._depth -= 1

    def _begin(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        path = self._names[id(module)]
        self._stack.append(path)
        operand = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        if path not in self._hooked:
            return
        self.flow.calls[path] += 1
        self._running.append((path, operand))
        if operand is not None:
            self._kept.append(operand)
            self._operands.append((path, operand))
            self._users[id(operand)].append(path)
            if id(operand) in self._made:
                self.flow.previous[path] = _describe(self._model, self._made[id(operand)])

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        path = self._stack.pop()
        if path in self._hooked:
            _, operand = self._running.pop()
            for one in tree_leaves(output):
                if one is operand:
                    # It worked in place: whatever uses its operand from now on uses its result.
                    self._operands = [(other, it) for other, it in self._operands if it is not operand]
                    self._users.pop(id(operand), None)
                if isinstance(one, Tensor):
                    self._made[id(one)] = path
                    self._kept.append(one)

    def _record_use(self, name: str, given: list[Tensor]) -> None:
        own = self._running[-1][1] if self._running else None
        for one in given:
            if one.requires_grad and one is not own:
                self._kept.append(one)
                self._users[id(one)].append(name)

    def _record_write(self, name: str, target: Tensor) -> None:
        path = self._stack[-1] if self._stack else ""
        base = view_base(target)
        changed = self._made.get(id(target), self._made.get(id(base)))
        if changed is not None:
            self.flow.writes.append(InPlaceWrite(name, path, changed))
        elif self._running and any(self._running[-1][1] is one for one in (target, base)):
            self.flow.writes.append(InPlaceWrite(name, path, path))
