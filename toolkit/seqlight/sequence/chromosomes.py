"""Names of chromosomes: read as text, and matched between spellings such as chr1 and 1."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from seqlight.errors import InputError, kind_of

_OTHER_MITOCHONDRIAL = {"chrM": "MT", "MT": "chrM"}


def chromosome_name(value: object) -> str | None:
    """Return a name as text: "1" for the number 1, which pandas reads where all names are numbers.

    Parameters
    ----------
    value : str, bytes or number
        Whole numbers stored as floats, as in columns with missing values, are accepted too.

    Returns
    -------
    str or None
        None if it is missing, empty, or not a name.

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
    """Return names as text; raise InputError if one is not a name.

    Parameters
    ----------
    values : iterable of str or number
        As a user gave them.
    name : str
        Its name in error messages.

    Examples
    --------
    >>> chromosome_names([1, "X"], "chroms")
    ['1', 'X']
    """
    if isinstance(values, str):
        raise InputError(f"{name} is the string {values!r}: expected a list of names, such as [{values!r}].")
    if not isinstance(values, Iterable):
        raise InputError(f"{name} is {kind_of(values)}: expected a list of names, such as ['chr1'].")
    found: list[str] = []
    for value in values:
        text = chromosome_name(value)
        if text is None:
            raise InputError(f"{name} has {value!r} in it, {kind_of(value)}: expected names, such as 'chr1'.")
        found.append(text)
    return found


def other_spelling(name: str) -> str:
    """Return the other usual spelling of a chromosome's name: chr1 for 1, and 1 for chr1.

    Examples
    --------
    >>> other_spelling("chr1"), other_spelling("X"), other_spelling("chrM")
    ('1', 'chrX', 'MT')
    """
    return _OTHER_MITOCHONDRIAL.get(name) or (name[3:] if name.startswith("chr") else f"chr{name}")


def respelled_names(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the names that are not in `known` but would be if spelled another way; see `likely_name`."""
    missing = [name for name in names if name not in known]
    keys = {_key(one) for one in known} if missing else set()
    return [name for name in missing if other_spelling(name) in known or _key(name) in keys]


def likely_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name that `name`, which is not known, probably stands for; None if there is none.

    Examples
    --------
    >>> likely_name("1", ["chr1", "chr2"]), likely_name("Chr2", ["1", "2"]), likely_name("chr3", ["1", "2"])
    ('chr1', '2', None)
    """
    if other_spelling(name) in known:
        return other_spelling(name)
    return next((one for one in known if _key(one) == _key(name)), None)


def _key(name: str) -> str:
    """Return a key that all spellings of a chromosome share."""
    key = name.strip().lower().removesuffix(".0").removeprefix("chr").removeprefix("omosome")
    key = key.strip(" _").lstrip("0") or key
    return "mt" if key == "m" else key
