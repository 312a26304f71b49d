"""What chromosomes are called, here and there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from seqlight.errors import InputError, a

_PAIRS = {"chrM": "MT", "MT": "chrM"}


def chromosome_name(value: object) -> str | None:
    """Return a name as text: 1 for the number 1, which is what pandas reads where all names are numbers.

    Parameters
    ----------
    value : str, bytes or number
        Whole numbers that became floats, as beside missing ones, are taken too.

    Returns
    -------
    str or None
        None for what is missing, empty or no name.

    Examples
    --------
    >>> [chromosome_name(one) for one in ("chr1", 2, 3.0, b"X", float("nan"), 1.5, None)]
    ['chr1', '2', '3', 'X', None, None, None]
    """
    if isinstance(value, str):
        return str(value) or None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") or None
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    return str(int(value)) if value >= 0 and float(value).is_integer() else None


def chromosome_names(values: Iterable[Any], name: str) -> list[str]:
    """Return names as text; raise InputError if one is none.

    Parameters
    ----------
    values : iterable of str or number
        What a user gave.
    name : str
        What to call it in a message.

    Examples
    --------
    >>> chromosome_names([1, "X"], "chroms")
    ['1', 'X']
    """
    if isinstance(values, str):
        raise InputError(f"{name} is the string {values!r}: expected a list of names, such as [{values!r}].")
    if not isinstance(values, Iterable):
        raise InputError(f"{name} is {a(values)}: expected a list of names, such as ['chr1'].")
    found: list[str] = []
    for value in values:
        text = chromosome_name(value)
        if text is None:
            raise InputError(f"{name} has {value!r} in it, {a(value)}: expected names, such as 'chr1'.")
        found.append(text)
    return found


def other_spelling(name: str) -> str:
    """Return how others spell the name of a chromosome: chr1 for 1, and 1 for chr1.

    Examples
    --------
    >>> other_spelling("chr1"), other_spelling("X"), other_spelling("chrM")
    ('1', 'chrX', 'MT')
    """
    return _PAIRS.get(name) or (name[3:] if name.startswith("chr") else f"chr{name}")


def spelled_otherwise(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return names that are not known, but in another spelling; see `likely_name`."""
    missing = [name for name in names if name not in known]
    keys = {_key(one) for one in known} if missing else set()
    return [name for name in missing if other_spelling(name) in known or _key(name) in keys]


def likely_name(name: str, known: Collection[str]) -> str | None:
    """Return which of the names is likely to be meant by one that is not among them; None if none is.

    Examples
    --------
    >>> likely_name("1", ["chr1", "chr2"]), likely_name("Chr2", ["1", "2"]), likely_name("chr3", ["1", "2"])
    ('chr1', '2', None)
    """
    if other_spelling(name) in known:
        return other_spelling(name)
    return next((one for one in known if _key(one) == _key(name)), None)


def _key(name: str) -> str:
    """Return what the spellings of a chromosome have in common."""
    key = name.strip().lower().removesuffix(".0").removeprefix("chr").removeprefix("omosome")
    key = key.strip(" _").lstrip("0") or key
    return "mt" if key == "m" else key
