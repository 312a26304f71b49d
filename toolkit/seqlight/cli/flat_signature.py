"""A command whose parameters are its own and, one by one, those that it shares with other commands."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, get_type_hints

# The description of a parameter, up to that of the next one.
ENTRY = re.compile(r"^    (\w+): .*?(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)
ARGS = "\nArgs:\n"


def flat_signature(command: Callable[..., None]) -> Callable[..., None]:
    """Return a function that takes the fields of some parameters in place of these.

    Parameters
    ----------
    command : callable
        Some of its parameters have a dataclass as type, and an object of it as default. Such a class is documented as a
        command is, with ``Args:``; where the command describes a field itself, that is what its help says.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Size:
    ...     '''A size.
    ...
    ...     Args:
    ...         width: How wide.
    ...     '''
    ...     width: int = 3
    >>> @flat_signature
    ... def draw(what: str, size: Size = Size(), colour: str = "red") -> None:
    ...     print(what, size.width, colour)
    >>> list(inspect.signature(draw).parameters)
    ['what', 'width', 'colour']
    >>> draw("a line", width=4)
    a line 4 red
    """
    hints, parameters = get_type_hints(command), inspect.signature(command).parameters
    records: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    flat = inspect.Signature(
        [
            one
            for name, parameter in parameters.items()
            for one in (
                _fields(records[name], parameter) if name in records else [parameter.replace(annotation=hints[name])]
            )
        ]
    )

    @functools.wraps(command)
    def call(*given: Any, **named: Any) -> None:
        bound = flat.bind(*given, **named)
        bound.apply_defaults()
        values = bound.arguments
        made = {
            name: record(**{one.name: values.pop(one.name) for one in dataclasses.fields(record)})
            for name, record in records.items()
        }
        command(**values, **made)

    call.__annotations__ = {one.name: one.annotation for one in flat.parameters.values()}
    call.__doc__ = _documented(command, list(records.values()))
    call.__signature__ = flat  # type: ignore[attr-defined]
    return call


def _fields(record: Any, parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """Return the fields of a dataclass as parameters, with those of the default as defaults."""
    hints, default = get_type_hints(record), parameter.default
    return [
        inspect.Parameter(one.name, parameter.kind, default=getattr(default, one.name), annotation=hints[one.name])
        for one in dataclasses.fields(record)
    ]


def _documented(command: Callable[..., None], records: list[Any]) -> str:
    """Return the docstring of a command with the descriptions of all parameters."""
    text, _, given = (inspect.getdoc(command) or "").partition(ARGS)
    entries = {found[1]: found[0] for found in ENTRY.finditer(given)}
    for record in records:
        shared = (inspect.getdoc(record) or "").partition(ARGS)[2]
        entries = {found[1]: found[0] for found in ENTRY.finditer(shared)} | entries
    return f"{text}{ARGS}" + "\n".join(one.rstrip("\n") for one in entries.values()) + "\n"
