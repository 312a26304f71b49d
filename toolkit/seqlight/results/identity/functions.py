"""What a function computes: its code, and everything that it reads."""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import Any

from seqlight.results.identity.byproducts import CONTAINERS, filled_variables
from seqlight.results.identity.bytecode import LOADED, Body, body_of
from seqlight.results.identity.origins import library_version, package_version, root_of

Visit = Callable[..., str]
EMPTY, FILLED = "empty", "filled"
# What a module says about where it is.
PLACE = {"__file__", "__name__", "__package__", "__spec__", "__loader__", "__path__", "__builtins__", "__doc__"}
# What looks up names given as texts, in the globals of a function or anywhere.
IN_GLOBALS = {"eval", "exec", "globals", "vars"}
BY_TEXT = {*IN_GLOBALS, "getattr", "attrgetter", "__dict__"}
WORD = re.compile(r"[^\W\d]\w*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Variables of the environment that say where a process runs, and as which of several.
OF_PLACE = re.compile(
    r"(LOCAL_|GROUP_|NODE_|GLOBAL_|SLURM_|OMPI_|PMI_|MASTER_|NCCL_|CUDA_VISIBLE|OMP_|TMP|TEMP)|"
    r"(RANK|WORLD_SIZE|HOME|USER|PWD|HOSTNAME|PATH|PYTHONHASHSEED)$"
)


def function_facts(function: FunctionType, visit: Visit) -> tuple[Any, ...]:
    """Return facts that are equal for functions that compute the same.

    For the user's own function these are its code, with that of inner functions, and the values of its defaults, of
    what it closes over and of the globals that it reads, functions among them. For a library's function they are its
    name, and what it closes over.

    Parameters
    ----------
    function : function
    visit : callable
        Describes a value, given with its name.
    """
    compiled = getattr(function, "_torchdynamo_orig_callable", None)
    if isinstance(compiled, FunctionType):  # whether it is compiled makes no difference
        return function_facts(compiled, visit)
    module = function.__globals__.get("__name__")
    package = library_version(module)
    cells = dict(_cells(function))
    # The cell __class__ of a method is described as the class of existing objects.
    filled = filled_variables(function) if package is None else frozenset()
    kept = [
        (
            name,
            FILLED
            if _is_only_filled(name, cell, filled)
            else visit(cell, f"variable {name!r}", made=name == "__class__"),
        )
        for name, cell in cells.items()
    ]
    given = _defaults(function, visit)
    if package is None:
        body = body_of(function.__code__, visit)
        read = [*_globals(function, body, visit), *_imported(function, body, visit), *_environment(body)]
        return ("function", body.facts, given, kept, read, _attributes(function, visit))
    name = f"{module}.{function.__code__.co_qualname}"
    facts = body_of(function.__code__, visit).facts if "<lambda>" in name else ()
    return ("library", name, package, facts, given if facts or cells else (), kept)


def code_facts(function: FunctionType, visit: Visit) -> tuple[Any, ...]:
    """Return facts about the code of a function alone, without what it reads."""
    return body_of(function.__code__, visit).facts


def module_facts(module: ModuleType, names: tuple[str, ...], visit: Visit) -> tuple[Any, ...]:
    """Return facts about the attributes of a module that are looked up.

    For the user's own module these are their values; for a library's, only the user's functions in it count.

    Parameters
    ----------
    module : module
    names : tuple of str
        The names that are looked up; if the module has none of them, all of its attributes count.
    visit : callable
        As in :func:`function_facts`.
    """
    package = library_version(module.__name__)
    inside = vars(module)
    found = sorted(name for name in set(names) if name in inside)
    if package is not None:
        theirs = [name for name in found if _is_own(inside[name])]
        return ("library", module.__name__, package, [(name, visit(inside[name], name)) for name in theirs])
    if not found:
        found = sorted(name for name in inside if not name.startswith("__"))
    values = [(name, visit(inside[name], f"{module.__name__}.{name}", names)) for name in found]
    return ("module", values)


def _is_own(value: Any) -> bool:
    return isinstance(value, FunctionType) and library_version(value.__globals__.get("__name__")) is None


def _is_only_filled(name: str, value: Any, filled: frozenset[str]) -> bool:
    return name in filled and type(value) in CONTAINERS


def _cells(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            yield name, EMPTY


def _defaults(function: FunctionType, visit: Visit) -> tuple[Any, ...]:
    keywords = sorted((function.__kwdefaults__ or {}).items())
    return (
        [visit(one, "a default") for one in function.__defaults__ or ()],
        [(name, visit(one, f"the default of {name!r}")) for name, one in keywords],
    )


def _attributes(function: FunctionType, visit: Visit) -> list[Any]:
    hung = {name: one for name, one in vars(function).items() if name != "__wrapped__"}
    return [(name, visit(one, f"attribute {name!r}")) for name, one in sorted(hung.items())]


def _globals(function: FunctionType, body: Body, visit: Visit) -> Iterator[tuple[str, str]]:
    scope = function.__globals__
    looked_up = {*body.attributes, *body.globals}
    filled = filled_variables(function)
    words = {word for text in body.texts for word in WORD.findall(text)} if looked_up & BY_TEXT else set()
    for name in sorted({*body.globals, *(words & set(scope) if looked_up & IN_GLOBALS else ())}):
        if name in PLACE:
            continue
        if name in scope and _is_only_filled(name, scope[name], filled):
            yield name, FILLED
        elif name in scope:
            attributes = () if name in body.handed else (*body.attributes, *sorted(words))
            yield name, visit(scope[name], f"global {name!r}", attributes)
        elif not hasattr(builtins, name):
            yield name, "missing"


def _environment(body: Body) -> Iterator[tuple[str, str | None]]:
    """Yield the variables of the environment that are read by name, without those that say where a process runs."""
    if {"environ", "getenv"} & {*body.attributes, *body.globals}:
        for name in sorted(body.texts):
            if VARIABLE.fullmatch(name) and not OF_PLACE.match(name):
                yield name, os.environ.get(name)


def _imported(function: FunctionType, body: Body, visit: Visit) -> Iterator[tuple[str, str]]:
    package = function.__globals__.get("__package__") or ""
    for one in sorted(body.imports):
        name = "." * one.level + one.module
        known = _library(package if one.level > 0 else name)
        if one.level == LOADED:
            found = function.__globals__.get("__name__", "") if name == "__name__" else name
            module = sys.modules.get(found) if known is None else None
        else:
            module = _loaded(name, package) if known is None else None
        if module is None:
            yield name, known or ""
            continue
        for part in one.names:
            if not hasattr(module, part):  # maybe a submodule
                _loaded(f"{module.__name__}.{part}", "")
        yield name, visit(module, f"module {name!r}", (*one.names, *body.attributes))


def _library(module: str) -> str | None:
    """Return the version of a library, even of one that is not loaded; None for the user's own module."""
    known, root = library_version(module), root_of(module)
    if known is None and root and root not in sys.modules:
        with contextlib.suppress(ImportError, ValueError):
            spec = find_spec(root)
            if spec is not None and {"site-packages", "dist-packages"} & set(PurePath(spec.origin or "").parts):
                return package_version(root)
    return known


def _loaded(name: str, package: str) -> ModuleType | None:
    """Return a module, loaded as the function would load it; None if that fails, as it would for the function."""
    try:
        return import_module(name, package)
    except Exception:
        return None
