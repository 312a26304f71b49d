"""What is wrong with a command line: told in one sentence, with exit status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A command line that cannot be understood: a command or option that does not exist, or a value that is missing."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the word that was most probably meant; None if no word is near.

    Examples
    --------
    >>> nearest("devise", ["data", "devices", "out"])
    'devices'
    >>> nearest("bogus", ["data", "devices", "out"]) is None
    True
    """
    known = sorted(known)
    begun = [one for one in known if one.startswith(word)]
    if len(begun) == 1:  # an abbreviation
        return begun[0]
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None
