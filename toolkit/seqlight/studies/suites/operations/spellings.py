"""In which ways a user can write each operation, as this version of PyTorch offers them.

They are found, not listed: the functions are those that the table of rules names, the modules all classes of torch.nn.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.attribution.rules import operation_names, table
from seqlight.studies.suites.operations.arguments import CALLS
from seqlight.studies.suites.operations.modules import LEFT_OUT, MODULES, OPERATIONS, Making

# Where functions live; one that lives in several is called by the first.
NAMESPACES = {
    "torch": torch,
    "F": F,
    "torch.special": torch.special,
    "torch.linalg": torch.linalg,
    "Tensor": Tensor,
    "torch._C._nn": torch._C._nn,
}
# In the order in which tables show them.
KINDS = ("module", "function", "method", "operator", "in place", "subclass", "reused", "behind a ReLU")


@dataclass(frozen=True)
class Spelling:
    """One way to write an operation.

    Attributes
    ----------
    operation : str
        The name of its entry in the table of rules, or of its module.
    kind : str
        One of KINDS.
    name : str
        How it is written: "torch.relu", "nn.ReLU".
    detail : str
        Which arguments it gets, where there are several kinds: "both".
    expression : str
        The call, of x.
    module : str
        The expression that makes the module, "" if there is none.
    function : callable, optional
        The function of PyTorch, where it is one.
    """

    operation: str
    kind: str
    name: str
    detail: str
    expression: str
    module: str = ""
    function: Any = None

    @property
    def title(self) -> str:
        """The name of the case: operation, kind and name, and which arguments."""
        detail = f", {self.detail}" if self.detail else ""
        return f"{self.operation}: {self.kind} {self.name}{detail}"


@cache
def all_spellings() -> tuple[Spelling, ...]:
    """Return all spellings of all operations."""
    found = [*_functions(), *_modules()]
    rank = {kind: i for i, kind in enumerate(KINDS)}
    return tuple(sorted(found, key=lambda one: (one.operation, rank[one.kind])))


@cache
def entries() -> dict[Any, str]:
    """Return the operation of each function of PyTorch that the table of rules has, comparisons included."""
    found = {**table.compared(), **table.rules()}
    return {
        f: entry.name for f, entry in found.items() if not str(getattr(f, "__module__", "")).startswith("seqlight.")
    }


def _functions() -> Iterator[Spelling]:
    named = _names()
    for function, operation in entries().items():
        name = named[function]
        kind = _kind_of(name)
        yield from _calls(operation, kind, name, function)
        if kind == "function" and "inplace" in _parameters(function):
            yield from _calls(operation, "in place", name, function, ", inplace=True")


def _kind_of(name: str) -> str:
    place, _, short = name.rpartition(".")
    special = short.startswith("__")
    if operation_names.writes_in_place(short):
        return "in place"
    return "function" if place != "Tensor" else "operator" if special else "method"


def _names() -> dict[Any, str]:
    """Return how functions are written, by the function."""
    found: dict[Any, str] = {}
    for prefix, namespace in NAMESPACES.items():
        for name in dir(namespace):
            one = getattr(namespace, name, None)
            if callable(one) and not inspect.isclass(one):
                found.setdefault(one, f"{prefix}.{name}")
    return found


def _calls(operation: str, kind: str, name: str, function: Any, more: str = "") -> Iterator[Spelling]:
    short = name.removesuffix("_") if kind == "in place" else name
    expressions = CALLS.get(name) or CALLS.get(short) or CALLS.get(short.rpartition(".")[2]) or CALLS.get(operation)
    for detail, expression in (expressions or {"": "f(x)"}).items():
        none = '"none"' if name.startswith("F.") else "0"
        expression = re.sub(r"\bnone\b", none, expression)
        written = _write(name, expression)
        if more:
            written = written[:-1] + more + ")"
        yield Spelling(
            operation, kind, name + more.replace(", ", "(") + ")" * bool(more), detail, written, "", function
        )


def _write(name: str, expression: str) -> str:
    """Return an expression with a function in it: a method of x where it is one, and otherwise by its name."""
    if name.startswith("Tensor."):
        short = name.removeprefix("Tensor.")
        return re.sub(r"\bf\((\w+)(?:, |(?=\)))", rf"\1.{short}(", re.sub(r"\bf\((?!\w+[,)])", f"{name}(", expression))
    return re.sub(r"\bf\(", f"{name}(", expression)


def _parameters(function: Any) -> Any:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _modules() -> Iterator[Spelling]:
    for name in sorted(set(dir(nn)) - LEFT_OUT):
        one = getattr(nn, name)
        if not (inspect.isclass(one) and issubclass(one, nn.Module)):
            continue
        for detail, making in MODULES.get(name, {"": Making()}).items():
            yield from _spellings_of_module(name, one, detail, making)


def _spellings_of_module(name: str, one: type[nn.Module], detail: str, making: Making) -> Iterator[Spelling]:
    operation, arguments = OPERATIONS.get(f"{name} {detail}") or operation_of(name), making.arguments
    call = re.sub(r"\bm\b", "self.operation", making.expression)
    made = f"nn.{name}({arguments})"
    yield Spelling(operation, "module", f"nn.{name}", detail, call, made)
    yield Spelling(operation, "subclass", f"nn.{name}", detail, call, f"subclass(nn.{name})({arguments})")
    yield Spelling(operation, "reused", f"nn.{name}", detail, call, made)
    yield Spelling(operation, "behind a ReLU", f"nn.{name}", detail, call, made)
    if "inplace" in _parameters(one):
        more = f"{arguments}, inplace=True" if arguments else "inplace=True"
        yield Spelling(operation, "in place", f"nn.{name}(inplace=True)", detail, call, f"nn.{name}({more})")


def operation_of(name: str) -> str:
    """Return the operation that a class of torch.nn is: that of the table of rules, if it has one of this name.

    Examples
    --------
    >>> operation_of("LeakyReLU"), operation_of("InstanceNorm2d"), operation_of("ZeroPad2d")
    ('leaky_relu', 'instance_norm', 'zero_pad2d')
    """
    if name in OPERATIONS:
        return OPERATIONS[name]
    known = {one.replace("_", ""): one for one in [*dir(F), *sorted(set(entries().values()))]}
    short = re.sub(r"\dd$", "", name)
    for one in (name, short):
        if one.lower() in known:
            return known[one.lower()]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
