"""The state of an object: what another one would need to be equal to it."""

from __future__ import annotations

import copyreg
import functools
import random
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._contextlib import _DecoratorContextManager

from seqlight.results.identity.origins import MAIN, library_version

Visit = Callable[..., str]
NEW = (vars(copyreg)["__newobj__"], vars(copyreg)["__newobj_ex__"])
LOCKS = (type(threading.Lock()), type(threading.RLock()))


class Indescribable(Exception):
    """It cannot be told whether an object would compute the same in another process."""


def object_facts(value: Any, visit: Visit) -> tuple[Any, ...]:
    """Return the class of an object and its state, as :mod:`pickle` or :mod:`copy` would get it.

    Raises
    ------
    Indescribable
        If its state is not accessible, such as that of an open file.
    """
    if isinstance(value, (*LOCKS, torch.device)):  # these affect when and where it computes, not what
        return ("object", type(value).__name__)
    if isinstance(value, weakref.ref):
        return ("reference", visit(value()))
    if isinstance(value, torch.Generator):
        return ("generator", visit(value.get_state()))
    if isinstance(value, random.Random):
        return ("random", visit(value.getstate()))
    if isinstance(value, torch.jit.ScriptFunction):
        graph: Any = value.graph
        constants = [one for one in graph.findAllNodes("prim::Constant") if one.hasAttribute("value")]
        tensors = [one.t("value") for one in constants if one.kindOf("value") == "t"]
        return ("script", str(value.code), [visit(one) for one in tensors])
    if isinstance(value, torch.memory_format | torch.layout):
        return ("layout", str(value))
    if isinstance(value, torch._ops.OperatorBase):
        return ("operator", str(value))
    reduced = _reduced(value)
    if isinstance(reduced, str):
        return ("global", _found_under(reduced, value))
    parts: list[Any] = [*reduced, None, None, None]
    function, args, state, items, pairs = parts[:5]
    if function in NEW:
        args, made_by = args[1:], []
    else:
        made_by = [] if function is type(value) else [visit(function)]
    return (
        "object",
        visit(type(value), made=True),
        made_by,
        [visit(one) for one in args or ()],
        state_facts(value, state, visit),
        [] if items is None else [visit(one) for one in items],
        [] if pairs is None else [(visit(key), visit(one)) for key, one in pairs],
    )


def state_facts(value: Any, state: Any, visit: Visit) -> Any:
    """Return the attributes of an object by name, without cached properties."""
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # a class with slots
        return [state_facts(value, state[0] or {}, visit), state_facts(value, state[1], visit)]
    if not isinstance(state, dict | None):
        return visit(state)
    unset = {"prev"} if isinstance(value, _DecoratorContextManager) else set()
    cls = type(value)
    kept = {
        name: one
        for name, one in (state or {}).items()
        if name not in unset and not (isinstance(name, str) and _is_cached(cls, name))
    }
    names = sorted(kept, key=str)
    return [(str(name), visit(kept[name], f"attribute {name!r}")) for name in names]


def _found_under(name: str, value: Any) -> str:
    """Return the full name under which pickle would find an object."""
    module = getattr(value, "__module__", None) or _module_with(name, value)
    there = sys.modules.get(module)
    if there is None or getattr(there, name, None) is not value:
        raise Indescribable
    return name if module in MAIN else f"{module}.{name}"


def _module_with(name: str, value: Any) -> str:
    """Return the module that has an object under its name; "" if none does.

    Modules are searched by ``__dict__``, for ``getattr``, which pickle uses, would load what is loaded lazily. Of
    several modules, the one in the package of the object's class is preferred, whichever was imported first.
    """
    package = type(value).__module__.partition(".")[0]
    found = [where for where, one in list(sys.modules.items()) if getattr(one, "__dict__", {}).get(name) is value]
    return min(found, key=lambda where: (where in MAIN, where.partition(".")[0] != package, where), default="")


def _is_cached(cls: type, name: str) -> bool:
    return any(isinstance(vars(one).get(name), functools.cached_property) for one in cls.__mro__)


def _reduced(value: Any) -> Any:
    if type(value).__module__ == "itertools":  # newer versions of Python no longer give their state
        raise Indescribable
    try:
        registered = copyreg.dispatch_table.get(type(value))
        return value.__reduce_ex__(4) if registered is None else registered(value)
    except Exception:
        if library_version(type(value).__module__) is None and hasattr(value, "__dict__"):
            return type(value), (), vars(value)
        raise Indescribable from None
