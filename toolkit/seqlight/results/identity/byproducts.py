"""Find what code stores while it runs and never reads: attention maps kept for later, lists that hooks fill.

It does not affect any result, but changes once a model has been called.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from torch import nn

from seqlight.results.identity.bytecode import ATTRIBUTES, steps_of

# The methods that put something into a plain list, dictionary or set.
FILLS = {"append", "extend", "add", "update", "insert"}
CONTAINERS = (list, dict, set)
VARIABLES = {"LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
Steps = list[dis.Instruction]


def filled_variables(function: FunctionType) -> frozenset[str]:
    """Return the names of outside variables that a function only puts something into, and never reads.

    Examples
    --------
    >>> seen = []
    >>> sorted(filled_variables(lambda module, inputs, output: seen.append(output)))
    ['seen']
    """
    return _filled(function.__code__)


def unread_attributes(cls: type[nn.Module]) -> frozenset[str]:
    """Return the names of attributes that the forward of a class sets on its module, and none of its code reads.

    Examples
    --------
    >>> class Net(nn.Module):
    ...     def forward(self, x):
    ...         self.hidden = x * self.scale
    ...         return self.hidden_of(x)
    ...     def hidden_of(self, x):
    ...         self.width = len(x)
    ...         return x[: self.width]
    >>> sorted(unread_attributes(Net))
    ['hidden']
    """
    return _left(*_codes_of(cls))


def names_looked_up(cls: type[nn.Module]) -> frozenset[str]:
    """Return the names that the code of a class looks up in any object, or may look up by a text."""
    return _looked_up(_codes_of(cls)[0])


def _codes_of(cls: type[nn.Module]) -> tuple[tuple[CodeType, ...], tuple[tuple[str, CodeType], ...]]:
    """Return the code of all methods, and by name that of the methods that run."""
    own = [one for one in cls.__mro__ if one not in nn.Module.__mro__]
    found: dict[str, CodeType] = {}
    every: list[CodeType] = []
    for one in own:
        # Properties and static methods count, and a method that is overridden may still run.
        for name, value in vars(one).items():
            functions = (getattr(value, part, None) for part in ("fget", "fset", "fdel", "__func__"))
            for function in (value, *functions):
                if isinstance(function, FunctionType):
                    every.append(function.__code__)
                    found.setdefault(name, function.__code__)
    return tuple(every), tuple(sorted(found.items(), key=lambda pair: pair[0]))


@lru_cache(maxsize=1024)
def _filled(code: CodeType) -> frozenset[str]:
    steps = steps_of(code)
    inside = {name for one in code.co_consts if isinstance(one, CodeType) for name in (*one.co_freevars, *one.co_names)}
    loads = [one.argval for one in steps if one.opname in VARIABLES]
    fills = [steps[i].argval for i in _containers(steps) if steps[i].opname in VARIABLES]
    return frozenset(name for name in fills if fills.count(name) == loads.count(name)) - inside


@lru_cache(maxsize=1024)
def _left(every: tuple[CodeType, ...], by_name: tuple[tuple[str, CodeType], ...]) -> frozenset[str]:
    own, reached, visited = dict(by_name), ["forward"], set[str]()
    set_there = set[str]()
    while reached:
        name = reached.pop()
        if name in visited or name not in own:
            continue
        visited.add(name)
        steps = steps_of(own[name])
        reached += [one.argval for one in steps if one.opname in ATTRIBUTES]
        set_there |= {
            one.argval for i, one in enumerate(steps) if one.opname == "STORE_ATTR" and _is_self(steps, i, own[name])
        }
        set_there |= set(_filled_attributes(steps, own[name]))
    return frozenset(set_there - _looked_up(every)) if set_there else frozenset()


@lru_cache(maxsize=1024)
def _looked_up(codes: tuple[CodeType, ...]) -> frozenset[str]:
    return frozenset(_read(codes))


def _read(codes: tuple[CodeType, ...]) -> Iterator[str]:
    """Yield the names of attributes that code looks up in any object, and texts by which it might."""
    for code in codes:
        steps = steps_of(code)
        fills = _filled_attributes(steps, code)
        for one in steps:
            if one.opname in ATTRIBUTES:
                if one.argval in fills:
                    fills.remove(one.argval)
                else:
                    yield one.argval
        yield from (one for one in code.co_consts if isinstance(one, str))
        yield from _read(tuple(one for one in code.co_consts if isinstance(one, CodeType)))


def _filled_attributes(steps: Steps, code: CodeType) -> list[str]:
    found = (i for i in _containers(steps) if steps[i].opname in ATTRIBUTES and _is_self(steps, i, code))
    return [steps[i].argval for i in found]


def _is_self(steps: Steps, i: int, code: CodeType) -> bool:
    """Return whether the previous instruction puts the first argument of a method on the stack."""
    before = steps[i - 1] if i else None
    if before is None or not before.opname.startswith("LOAD_FAST"):
        return False
    names: Any = before.argval if isinstance(before.argval, tuple) else (before.argval,)
    return bool(names[-1] in code.co_varnames[: min(1, code.co_argcount)])


def _containers(steps: Steps) -> Iterator[int]:
    """Yield the instructions that load a container which is then filled, as far as that can be told."""
    for i, one in enumerate(steps):
        if one.opname in ATTRIBUTES and one.argval in FILLS and i:
            yield i - 1
        elif one.opname == "STORE_SUBSCR":
            # The key, which takes one place of the stack, is pushed after the container.
            at, height = i, 0
            while at and height < 1:
                at -= 1
                height += dis.stack_effect(steps[at].opcode, steps[at].arg, jump=False)
            if height == 1 and at:
                yield at - 1
