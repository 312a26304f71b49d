"""What a class does: its methods and values, and those of the classes that it inherits from."""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

from seqlight.results.identity.functions import code_facts
from seqlight.results.identity.origins import AROUND, library_version, name_of, root_of

Visit = Callable[..., str]
METHODS = (FunctionType, staticmethod, classmethod, property)
# What libraries store in a class, and what an autograd function gets when it is defined.
LEFT = ("_abc_impl", "_backward_cls", "_member_", "_value2member_map_", "_hashable_values_", "_unhashable_values")
# Parts of the names of Lightning's methods that a prediction calls.
PREDICTS = ("forward", "predict", "batch_transfer", "transfer_batch")


def class_facts(cls: type, visit: Visit, *, made: bool = False) -> tuple[Any, ...]:
    """Return facts that are equal for classes that do the same.

    Parameters
    ----------
    cls : type
        A library's class is described by its name, and the functions that were put into it from outside.
    visit : callable
        Describes a value, given with its name.
    made : bool
        Whether an instance is described: what its ``__init__`` read to make it then no longer counts.
    """
    skipped = _of_lightning(cls)
    found: list[Any] = [("class", name_of(cls))]
    if issubclass(cls, enum.Enum):
        found.append([(name, visit(one.value, name)) for name, one in cls.__members__.items()])
    for one in (*cls.__mro__, type(cls)):
        package = library_version(one.__module__)
        entries = sorted(_entries(one, skipped))
        if package is None:
            found.append([(name, _entry(name, value, visit, made)) for name, value in entries])
        else:
            patched = [(name, value) for name, value in entries if _is_own(value)]
            found.append([package, *((name, visit(value, name)) for name, value in patched)])
    return tuple(found)


def _entries(cls: type, skipped: set[str]) -> Iterator[tuple[str, Any]]:
    members = cls.__members__ if issubclass(cls, enum.Enum) else {}
    for name, value in vars(cls).items():
        special = name.startswith("__") and name.endswith("__")
        if special and not (isinstance(value, METHODS) or (callable(value) and not isinstance(value, type))):
            continue
        if name in skipped or name in members or name.startswith(LEFT):
            continue
        if not isinstance(value, MemberDescriptorType | GetSetDescriptorType):
            yield name, value


def _entry(name: str, value: Any, visit: Visit, made: bool) -> Any:
    if made and name == "__init__" and isinstance(value, FunctionType):
        return code_facts(value, visit)
    if isinstance(value, staticmethod | classmethod):
        return type(value).__name__, visit(value.__func__, name)
    if isinstance(value, property):
        return "property", visit(value.fget, name), visit(value.fset, name), visit(value.fdel, name)
    if isinstance(value, functools.cached_property):
        return "property", visit(value.func, name)
    return visit(value, name)


def _is_own(value: Any) -> bool:
    return inspect.isfunction(value) and library_version(value.__globals__.get("__name__")) is None


def _of_lightning(cls: type) -> set[str]:
    """Return the methods by which a LightningModule is trained, which do not affect predictions."""
    theirs = (vars(one) for one in cls.__mro__ if root_of(one.__module__) in AROUND)
    names = {name for inside in theirs for name in inside if not name.startswith("__")}
    return {name for name in names if not any(part in name for part in PREDICTS)}
