"""Which parts of a model changed, by its fingerprint."""

from __future__ import annotations

from typing import Any

# What of a fingerprint is called what. Attributes and hooks are part of what a model computes, like its code.
PARTS = {
    "class": "class",
    "structure": "layers",
    "weights": "weights",
    "code": "code",
    "attributes": "code",
    "hooks": "code",
}


def changed_parts(old: Any, new: Any) -> list[str]:
    """Return the names of the parts in which two fingerprints of a model differ.

    Parameters
    ----------
    old, new : dict, or any
        As :func:`seqlight.results.fingerprints.fingerprint_model` returns them; of anything else only the whole counts.

    Returns
    -------
    list of str
        Of "class", "layers", "weights" and "code"; "model", if it is none of these.

    Examples
    --------
    >>> changed_parts({"class": "Net", "weights": "0a"}, {"class": "Net", "weights": "1b"})
    ['weights']
    """
    if old == new:
        return []
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return ["model"]
    differ = [name for part, name in PARTS.items() if old.get(part) != new.get(part)]
    return list(dict.fromkeys(differ)) or ["model"]
