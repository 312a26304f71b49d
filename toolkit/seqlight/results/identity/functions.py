"""What a function computes: its code, and all that it reads."""

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
# What a module says of where it lies.
PLACE = {"__file__", "__name__", "__package__", "__spec__", "__loader__", "__path__", "__builtins__", "__doc__"}
# By which names are looked up that stand in texts, among them in what a function has for globals.
IN_GLOBALS = {"eval", "exec", "globals", "vars"}
BY_TEXT = {*IN_GLOBALS, "getattr", "attrgetter", "__dict__"}
WORD = re.compile(r"[^\W\d]\w*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Of the environment: where and as which of several a process runs.
OF_PLACE = re.compile(
    r"(LOCAL_|GROUP_|NODE_|GLOBAL_|SLURM_|OMPI_|PMI_|MASTER_|NCCL_|CUDA_VISIBLE|OMP_|TMP|TEMP)|"
    r"(RANK|WORLD_SIZE|HOME|USER|PWD|HOSTNAME|PATH|PYTHONHASHSEED)$"
)


def function_facts(function: FunctionType, visit: Visit) -> tuple[Any, ...]:
    """Return what a function computes.

    Of one of the user's own that is its code, with that of the functions inside of it, the values of its defaults, of
    what it closes over and of the globals that it reads, and what is said of functions that it reads there. Of one of a
    library it is the name, and what it closes over.

    Parameters
    ----------
    function : function
    visit : callable
        Takes a value and what it is called; describes it.
    """
    compiled = getattr(function, "_torchdynamo_orig_callable", None)
    if isinstance(compiled, FunctionType):  # whether it is compiled makes no difference
        return function_facts(compiled, visit)
    module = function.__globals__.get("__name__")
    package = library_version(module)
    cells = dict(_cells(function))
    # What a method knows of its own class is that there are objects of it.
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
    """Return the code of a function, and nothing of what it reads."""
    return body_of(function.__code__, visit).facts


def module_facts(module: ModuleType, names: tuple[str, ...], visit: Visit) -> tuple[Any, ...]:
    """Return what is found in a module under names: of one of the user's own, the values, else what is theirs in it.

    Parameters
    ----------
    module : module
    names : tuple of str
        Of the attributes that are looked up; where none is one of the module's, all are.
    visit : callable
        As of :func:`function_facts`.
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
    """Return the variables of the environment that are read by name, but those of where a process runs."""
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
            if not hasattr(module, part):  # a module inside of it, perhaps
                _loaded(f"{module.__name__}.{part}", "")
        yield name, visit(module, f"module {name!r}", (*one.names, *body.attributes))


def _library(module: str) -> str | None:
    """Return what stands for a library, also for one that is not loaded; None for a module of the user's own."""
    known, root = library_version(module), root_of(module)
    if known is None and root and root not in sys.modules:
        with contextlib.suppress(ImportError, ValueError):
            spec = find_spec(root)
            if spec is not None and {"site-packages", "dist-packages"} & set(PurePath(spec.origin or "").parts):
                return package_version(root)
    return known


def _loaded(name: str, package: str) -> ModuleType | None:
    """Return a module, loaded as the function would load it; None if it cannot be, as the function would find too."""
    try:
        return import_module(name, package)
    except Exception:
        return None
