"""What the type of a command's parameter says of the values that its option takes."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints


def alternatives(hint: Any) -> Iterator[Any]:
    """Yield the types of a union, or the one type.

    Examples
    --------
    >>> list(alternatives(int | list[str] | None))
    [<class 'int'>, list[str], <class 'NoneType'>]
    """
    if get_origin(hint) in (Union, types.UnionType):
        for one in get_args(hint):
            yield from alternatives(one)
    else:
        yield hint


def type_hints(command: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of a command's parameters; none if it names some that only a type checker can see."""
    try:
        return get_type_hints(command)
    except NameError:
        return {}


def is_switch(hint: Any) -> bool:
    """Return whether an option needs no value: ``--quiet`` is ``--quiet true``."""
    return set(alternatives(hint)) - {types.NoneType} == {bool}


def takes_mapping(hint: Any) -> bool:
    """Return whether an option takes names with values, which may be given one at a time."""
    return any(get_origin(one) is dict or one is dict for one in alternatives(hint))


def item_type(hint: Any) -> Any:
    """Return the type of the items if an option takes a list, else None.

    Examples
    --------
    >>> item_type(int | list[int]), item_type(str)
    (<class 'int'>, None)
    """
    for one in alternatives(hint):
        if one is list:
            return str
        if get_origin(one) is list:
            return get_args(one)[0]
    return None


def takes_one(hint: Any) -> bool:
    """Return whether an option takes a value that is neither a list nor a mapping."""
    return any(one is not types.NoneType and (get_origin(one) or one) not in (list, dict) for one in alternatives(hint))
