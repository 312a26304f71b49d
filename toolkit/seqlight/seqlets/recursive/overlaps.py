"""Calls of both signs in one list, without overlaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlight.seqlets.recursive.span_calls import Calls

Indices = NDArray[np.int64]


def sort_by_position(calls: Sequence[Calls], length: int) -> Calls:
    """Return all calls by row and start; ties stay in the order of the lists they come from.

    Parameters
    ----------
    calls : sequence of Calls
        For instance, one for each sign.
    length : int
        Positions in a row.

    Returns
    -------
    Calls
    """
    spans = np.concatenate([one.spans for one in calls] or [np.empty((0, 3), dtype=np.int64)])
    scores = np.concatenate([one.scores for one in calls] or [np.empty((0, 2))])
    order = np.argsort(spans[:, 0] * length + spans[:, 1], kind="stable")
    return Calls(spans[order], scores[order])


def drop_overlaps(calls: Calls, length: int) -> Calls:
    """Drop the less significant of calls that overlap.

    Calls are accepted in the order of their p-values; of equal ones the larger absolute attribution comes first, then
    the smaller start, then the first in the list. A call that overlaps an accepted one is dropped, and blocks no
    others.

    Parameters
    ----------
    calls : Calls
        From `sort_by_position`.
    length : int
        Positions in a row.

    Returns
    -------
    Calls
        The calls that remain, in the same order.

    Examples
    --------
    >>> import numpy as np
    >>> spans = np.array([[0, 2, 4], [0, 5, 4], [0, 8, 4]])
    >>> calls = Calls(spans, np.array([[1.0, 1e-4], [-1.0, 1e-3], [1.0, 1e-2]]))
    >>> drop_overlaps(calls, length=20).spans[:, 1].tolist()
    [2, 8]
    """
    first = calls.spans[:, 0] * length + calls.spans[:, 1]
    last = first + calls.spans[:, 2]
    overlaps_previous = first[1:] < np.maximum.accumulate(last)[:-1]
    if not overlaps_previous.any():
        return calls
    # Few calls overlap another, and only these are compared.
    few = np.flatnonzero(np.append(overlaps_previous, False) | np.append(False, overlaps_previous))
    keep = np.ones(len(first), dtype=bool)
    keep[few] = _keep_mask(first[few], last[few], calls.scores[few])
    return Calls(calls.spans[keep], calls.scores[keep])


def _keep_mask(first: Indices, last: Indices, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    winner, loser = _overlapping_pairs(first, last, _ranks(first, scores))
    kept = np.ones(len(first), dtype=bool)
    while len(winner):
        beaten = np.zeros(len(first), dtype=bool)
        beaten[loser] = True
        # A call that no other beats stays in any case, and the calls that it beats are dropped.
        kept[loser[~beaten[winner]]] = False
        undecided = kept[winner] & kept[loser]
        winner, loser = winner[undecided], loser[undecided]
    return kept


def _ranks(first: Indices, scores: NDArray[np.float64]) -> Indices:
    attribution, p_value = scores.T
    ranks = np.empty(len(first), dtype=np.int64)
    ranks[np.lexsort((first, -np.abs(attribution), p_value))] = np.arange(len(first))
    return ranks


def _overlapping_pairs(first: Indices, last: Indices, ranks: Indices) -> tuple[Indices, Indices]:
    """Return the better ranked call of each overlapping pair, and the other one."""
    here = np.arange(len(first))
    behind = np.searchsorted(first, last) - here - 1
    left = np.repeat(here, behind)
    steps = np.arange(len(left)) - np.repeat(np.cumsum(behind) - behind, behind)
    right = left + 1 + steps
    swapped = ranks[right] < ranks[left]
    return np.where(swapped, right, left), np.where(swapped, left, right)
