"""What the compiled code of a function does, and which names it looks up.

The bytecode is read, not the source, which may be missing (a notebook, ``exec``) or edited since it was loaded. Line
numbers, file names, comments and docstrings do not count. Bytecode differs between versions of Python.
"""

from __future__ import annotations

import dis
import inspect
import itertools
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

CONSTANTS, JUMPS = frozenset(dis.hasconst), frozenset((*dis.hasjrel, *dis.hasjabs))
LOOKED_UP = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"}
# What finds a module by a text; `modules` is sys.modules.
IMPORTERS = {"import_module", "__import__", "modules"}
# The level of an `Import` from sys.modules, which loads nothing.
LOADED = -1
UNSEEN = {"EXTENDED_ARG", "CACHE", "NOP", "RESUME"}
# The names by which the body of a class says where it was written.
WHERE = {"__module__", "__qualname__", "__doc__", "__firstlineno__", "__static_attributes__"}
TAKES = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
TAKES |= inspect.CO_ASYNC_GENERATOR


class Import(NamedTuple):
    """An import inside a function: how many packages up, the module (``__name__`` for its own), the names from it.

    The level is LOADED if the code only finds modules that are loaded already.
    """

    level: int
    module: str
    names: tuple[str, ...]


class Body(NamedTuple):
    """What code does, that of inner functions included.

    Attributes
    ----------
    facts : tuple
        Equal for equal code.
    globals : tuple of str
        The global names that it looks up.
    attributes : tuple of str
        The names that it looks up in any object.
    imports : tuple of Import
    texts : tuple of str
        The texts among its constants, by which it may look up more.
    handed : tuple of str
        The globals with which it does more than look up names in them.
    """

    facts: tuple[Any, ...]
    globals: tuple[str, ...]
    attributes: tuple[str, ...]
    imports: tuple[Import, ...]
    texts: tuple[str, ...]
    handed: tuple[str, ...]


def body_of(code: CodeType, visit: Callable[[Any], str]) -> Body:
    """Return what `code` does, with its constants described by `visit`.

    Examples
    --------
    >>> body = body_of((lambda x: max(x.sum(), 3)).__code__, repr)
    >>> body.globals, body.attributes
    (('max',), ('sum',))
    """
    steps = steps_of(code)
    at = {instruction.offset: i for i, instruction in enumerate(steps)}
    facts: list[Any] = [_signature(code)]
    inner: list[Body] = []
    for one in steps:
        if isinstance(one.argval, CodeType):
            inner.append(body_of(one.argval, visit))
            facts.append((one.opname, inner[-1].facts))
        else:
            facts.append((one.opname, _argument(one, code, at, visit)))
    return Body(
        tuple(facts),
        _all((one.argval for one in steps if one.opname in LOOKED_UP), (body.globals for body in inner)),
        _all((one.argval for one in steps if one.opname in ATTRIBUTES), (body.attributes for body in inner)),
        _all(_imports(steps), (body.imports for body in inner)),
        _all((one.argval for one in steps if isinstance(one.argval, str) and one.opcode in CONSTANTS),
             (body.texts for body in inner)),
        _all(_handed(steps), (body.handed for body in inner)),
    )  # fmt: skip


def steps_of(code: CodeType) -> list[dis.Instruction]:
    """Return the instructions, without those that only say where a class was written."""
    steps: list[dis.Instruction] = []
    for one in dis.get_instructions(code):
        if one.opname == "STORE_NAME" and one.argval in WHERE and steps:
            steps.pop()
        elif one.opname not in UNSEEN:
            steps.append(one)
    return steps


def _signature(code: CodeType) -> tuple[Any, ...]:
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return (*counts, code.co_flags & TAKES, arguments, code.co_freevars, code.co_exceptiontable.hex())


def _argument(one: dis.Instruction, code: CodeType, at: dict[int, int], visit: Callable[[Any], str]) -> Any:
    if one.opname == "KW_NAMES" and one.arg is not None:  # not in dis.hasconst of Python 3.11
        return visit(code.co_consts[one.arg])
    if one.opcode in CONSTANTS:
        return visit(one.argval)
    if one.opcode in JUMPS:
        return at.get(one.argval, one.argval)
    names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
    return one.argval if all(isinstance(name, str) for name in names) else one.arg


def _imports(steps: list[dis.Instruction]) -> list[Import]:
    # The level and the names are pushed before.
    stated = [
        Import(before[0].argval or 0, one.argval, tuple(before[1].argval or ()))
        for *before, one in zip(steps, steps[1:], steps[2:], strict=False)
        if one.opname == "IMPORT_NAME"
    ]
    # Newer versions of Python push a NULL between a function and its arguments.
    plain = [one for one in steps if one.opname != "PUSH_NULL"]
    called = [
        Import(LOADED if "modules" in where else 0, one.argval, ())
        for *where, one in zip([None, *_names(plain)], _names(plain), plain[1:], strict=False)
        if (where[1] in IMPORTERS or where == ["modules", "get"])
        and (one.opcode in CONSTANTS or one.argval == "__name__")
    ]
    return stated + [one for one in called if isinstance(one.module, str) and one.module]


def _names(steps: list[dis.Instruction]) -> list[str | None]:
    return [one.argval if isinstance(one.argval, str) else None for one in steps]


def _handed(steps: list[dis.Instruction]) -> list[str]:
    pairs = itertools.pairwise(steps)
    return [one.argval for one, then in pairs if one.opname in LOOKED_UP and then.opname not in ATTRIBUTES]


def _all(own: Any, of_inner: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*own, *(name for names in of_inner for name in names))))
