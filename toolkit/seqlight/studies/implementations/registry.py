"""The implementations that installed packages offer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points

from seqlight.errors import InputError, SeqlightWarning, kind_of
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.stored_array import stored_array

GROUP = "seqlight.implementations"
# Those of seqlight itself come first in tables, in this order.
ORDER = (
    "seqlight",
    "tangermeme",
    "captum-deeplift",
    "captum-integrated-gradients",
    "shap",
    "mutagenesis",
    "input-x-gradient",
)


@cache
def known_implementations() -> dict[str, Implementation]:
    """Return all implementations by name, those whose package is absent included.

    Warns
    -----
    SeqlightWarning
        If an entry point cannot be loaded, or does not name an :class:`Implementation`; it is left out.
    """
    found = {}
    for point in entry_points(group=GROUP):
        try:
            one = point.load()
            if not isinstance(one, Implementation):
                raise TypeError(f"it is {kind_of(one)}, not an Implementation")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(
                f"entry point {point.name!r} of {GROUP} is left out ({reason}).", SeqlightWarning, stacklevel=2
            )
            continue
        found[one.name] = one
    rank = {name: i for i, name in enumerate(ORDER)}
    return dict(sorted(found.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])))


def choose_implementations(chosen: str | Sequence[str | Implementation]) -> list[Implementation]:
    """Return implementations, by name or as they are.

    Parameters
    ----------
    chosen : str, or sequence of str or Implementation
        "installed" are those that take part by default and whose package is installed; "all" are all, also the absent.
        What ends in ".npy" is the path of stored contributions, see :func:`stored_array`. A text is split at commas:
        "installed,theirs.npy".

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if not isinstance(chosen, str) and all(isinstance(one, Implementation) for one in chosen):
        known: dict[str, Implementation] = {}
    else:
        known = known_implementations()
    found: list[Implementation] = []
    for one in chosen.split(",") if isinstance(chosen, str) else chosen:
        if one == "all":
            found += known.values()
        elif one == "installed":
            found += [each for each in known.values() if each.by_default and each.version is not None]
        else:
            found.append(_one(one, known))
    names = [one.name for one in found]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError(f"implementations holds {', '.join(double)} more than once: expected names that differ.")
    return found


def _one(chosen: str | Implementation, known: dict[str, Implementation]) -> Implementation:
    if isinstance(chosen, str) and chosen.endswith(".npy"):
        return stored_array(chosen)
    found = known.get(chosen) if isinstance(chosen, str) else chosen
    if not isinstance(found, Implementation):
        raise InputError(
            f"implementations holds {chosen!r}: expected one of {', '.join(known)}, the path of a .npy file, or an "
            "Implementation."
        )
    return found
