"""Calls of both signs in one list, of which no two overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlight.seqlets.recursive.span_calls import Calls

Indices = NDArray[np.int64]


def in_place_order(calls: Sequence[Calls], length: int) -> Calls:
    """Return all calls, row by row and from left to right; at one place in the order of the lists they come from.

    Parameters
    ----------
    calls : sequence of Calls
        For instance those of each sign.
    length : int
        Positions of a row.

    Returns
    -------
    Calls
    """
    where = np.concatenate([one.where for one in calls] or [np.empty((0, 3), dtype=np.int64)])
    score = np.concatenate([one.score for one in calls] or [np.empty((0, 2))])
    order = np.argsort(where[:, 0] * length + where[:, 1], kind="stable")
    return Calls(where[order], score[order])


def without_overlaps(calls: Calls, length: int) -> Calls:
    """Return the calls that are left once, of those that overlap, the less significant gave way.

    Calls are taken in the order of their p-values; among equal ones the larger absolute attribution comes first, then
    what begins further left, then what stands first. One that overlaps a call that was taken is left out, and does
    not stand in the way of others.

    Parameters
    ----------
    calls : Calls
        In the order of `in_place_order`.
    length : int
        Positions of a row.

    Returns
    -------
    Calls
        In the same order.

    Examples
    --------
    >>> import numpy as np
    >>> where = np.array([[0, 2, 4], [0, 5, 4], [0, 8, 4]])
    >>> calls = Calls(where, np.array([[1.0, 1e-4], [-1.0, 1e-3], [1.0, 1e-2]]))
    >>> without_overlaps(calls, length=20).where[:, 1].tolist()
    [2, 8]
    """
    first = calls.where[:, 0] * length + calls.where[:, 1]
    last = first + calls.where[:, 2]
    meets = first[1:] < np.maximum.accumulate(last)[:-1]
    if not meets.any():
        return calls
    # What overlaps another is little of it all.
    few = np.flatnonzero(np.append(meets, False) | np.append(False, meets))
    keep = np.ones(len(first), dtype=bool)
    keep[few] = _kept(first[few], last[few], calls.score[few])
    return Calls(calls.where[keep], calls.score[keep])


def _kept(first: Indices, last: Indices, score: NDArray[np.float64]) -> NDArray[np.bool_]:
    winner, loser = _pairs(first, last, _ranks(first, score))
    kept = np.ones(len(first), dtype=bool)
    while len(winner):
        beaten = np.zeros(len(first), dtype=bool)
        beaten[loser] = True
        # Who is beaten by none stays, whatever else is decided, and those that it beats go.
        kept[loser[~beaten[winner]]] = False
        open_ = kept[winner] & kept[loser]
        winner, loser = winner[open_], loser[open_]
    return kept


def _ranks(first: Indices, score: NDArray[np.float64]) -> Indices:
    attribution, p_value = score.T
    ranks = np.empty(len(first), dtype=np.int64)
    ranks[np.lexsort((first, -np.abs(attribution), p_value))] = np.arange(len(first))
    return ranks


def _pairs(first: Indices, last: Indices, ranks: Indices) -> tuple[Indices, Indices]:
    """Return, of each two that overlap, the one that comes first in rank, and the other."""
    here = np.arange(len(first))
    behind = np.searchsorted(first, last) - here - 1
    left = np.repeat(here, behind)
    steps = np.arange(len(left)) - np.repeat(np.cumsum(behind) - behind, behind)
    right = left + 1 + steps
    swapped = ranks[right] < ranks[left]
    return np.where(swapped, right, left), np.where(swapped, left, right)
