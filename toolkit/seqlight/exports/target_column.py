"""One target of an array of results, read a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.results.column import Column
from seqlight.results.fingerprints import describe_argument
from seqlight.results.results import Results
from seqlight.sequence.checks import require_count
from seqlight.targets.registry import as_target

MOST_LISTED = 6  # targets in a sentence


class TargetColumn:
    """An array of attributions, or of anything else that a run has for each target, at one of the targets.

    Attributes
    ----------
    shape : tuple of int
        Without the dimension of targets.
    dtype : numpy.dtype
    """

    def __init__(self, column: Column, target: int | None) -> None:
        self._column, self._target = column, target
        self.shape = column.shape if target is None else (column.shape[0], *column.shape[2:])
        self.dtype = column.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, one shard at a time."""
        for block in self._column.blocks():
            yield block if self._target is None else block[:, self._target]

    def summed(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, one shard at a time, summed over letters: arrays of shape (rows, positions)."""
        for block in self.blocks():
            yield np.asarray(block.sum(axis=1), dtype=self.dtype)


def count_targets(results: Results) -> int | None:
    """Return how many targets were explained; None if there is one, which has no dimension of its own."""
    attributions = results["attributions"]
    if attributions.ndim not in (3, 4):
        raise InputError(
            f"attributions in {results.path} has shape {attributions.shape}: expected (rows, letters, positions), or "
            "(rows, targets, letters, positions)."
        )
    return attributions.shape[1] if attributions.ndim == 4 else None


def target_suffix(target: int | None) -> str:
    """Return what files and folders of one of several targets have in their names; "" for a single one.

    Examples
    --------
    >>> target_suffix(1), target_suffix(None)
    ('.target_1', '')
    """
    return "" if target is None else f".target_{target}"


def target_column(results: Results, name: str, target: int | None) -> TargetColumn:
    """Return one target of an array of results.

    Parameters
    ----------
    results : Results
        Of a run of ``DeepLiftShapModule``.
    name : str
        The array, such as "attributions" or "hypothetical".
    target : int, optional
        Which of several targets, counted from 0; None if there is only one.

    Raises
    ------
    InputError
        If there is no such array or target.
    """
    return TargetColumn(results[name], require_target(results, target))


def target_number(results: Results, target: int | str | None) -> int | None:
    """Return the number of a target that may be given as it was to ``seqlight attribute``, as counts(head=1).

    Raises
    ------
    InputError
        If the run explains no such target.
    """
    if not isinstance(target, str):
        return target
    known = target_names(results)
    try:
        wanted = describe_argument(as_target(target), "target")
    except InputError:
        wanted = target  # it was not read as a target then, either
    for name in (target, wanted):
        if name in known:
            return known.index(name)
    raise InputError(f"target is {target!r}, and {results.path} explains {_listed(known)}: expected one of these.")


def target_names(results: Results) -> list[Any]:
    """Return what the manifest of a run says of each of its targets: numbers, or texts such as counts(head=1)."""
    found, n = results.manifest.method.get("target", 0), count_targets(results)
    if n is None:
        return [found]
    return found if isinstance(found, list) and len(found) == n else list(range(n))


def _listed(known: list[Any]) -> str:
    """Return the first targets, with their numbers if there are several."""
    if len(known) == 1:
        return str(known[0])
    more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
    return ", ".join(f"{one} as {k}" for k, one in enumerate(known[:MOST_LISTED])) + more


def _named(results: Results) -> str:
    """Return the targets with their numbers for a sentence; "" where these say it."""
    known = target_names(results)
    return "" if known == list(range(len(known))) else f" ({_listed(known)})"


def require_target(results: Results, target: int | None) -> int | None:
    """Return which of several targets is meant; None if there is only one.

    Raises
    ------
    InputError
        If there is no such target, or there are several and none is given.
    """
    n = count_targets(results)
    if n is None:
        if target not in (None, 0):
            raise InputError(f"target is {target}, and {results.path} explains a single one: leave `target` out.")
        return None
    if target is None:
        raise InputError(
            f"{results.path} explains {n} targets: say which one with `target`, 0 to {n - 1}{_named(results)}."
        )
    chosen = require_count(target, "target")
    if chosen >= n:
        raise InputError(
            f"target is {chosen}, and {results.path} explains {n}: expected 0 to {n - 1}{_named(results)}."
        )
    return chosen
