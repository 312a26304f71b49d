"""Calls of spans whose inner spans are all rare: the longest first, none overlapping.

A span is *good* if its own p-value and those of all spans inside it, down to the shortest length, are below the
threshold. Since every span inside a good span is good, one number per start says everything: the length of the
longest good span that begins there.
"""

from __future__ import annotations

import ctypes
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.native.library import library, pointer
from seqlight.native.threads import over_rows
from seqlight.seqlets.recursive.null_distribution import Binning, NullDistribution
from seqlight.seqlets.seqlet_table import Floats

# Bounds the memory for a block of rows, whatever the size of the input.
VALUES_A_BLOCK = 1 << 18


class Calls(NamedTuple):
    """Called spans, by row and in no particular order within a row."""

    spans: NDArray[np.int64]
    """Shape (n, 3): row, start and length."""
    scores: NDArray[np.float64]
    """Shape (n, 2): summed attribution and p-value."""


def call_spans(
    values: Floats,
    null: NullDistribution,
    threshold: float,
    shortest: int,
    longest: int,
    *,
    own_sign: bool = False,
    extend_bins: bool = False,
) -> Calls:
    """Call seqlets of one sign.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n, length)
        Finite values, float32 or float64, C-contiguous.
    null : NullDistribution
        The null to score them against.
    threshold : float
        Every span inside a call has a p-value below this.
    shortest, longest : int
        Lengths of calls, ``1 <= shortest <= longest <= length``.
    own_sign : bool
        Whether to drop calls whose values do not sum to a number of the null's sign: in a track that is positive
        throughout, even its lowest spans are.
    extend_bins : bool
        Whether values above the range of the null get bins of their own, as those of a control must, or share its
        highest bin.

    Returns
    -------
    Calls
        The same with or without compiled loops, for any number of threads.
    """
    (critical,) = null.critical_sums(np.array([threshold]), shortest, longest)
    native = library()
    call = _call_with_numpy if native is None else partial(_call_with_loop, native)
    block = max(1, VALUES_A_BLOCK // values.shape[1])
    found: dict[int, Calls] = {}

    def work(first: int, last: int) -> None:
        for row in range(first, last, block):
            found[row] = call(values, (row, min(row + block, last)), null, critical, shortest, extend_bins)

    over_rows(work, len(values))
    blocks = [found[row] for row in sorted(found)]
    spans, scores = np.concatenate([b.spans for b in blocks]), np.concatenate([b.scores for b in blocks])
    if own_sign and not (own := null.sign * scores[:, 0] > 0).all():
        spans, scores = spans[own], scores[own]
    return Calls(spans, scores)


def count_calls(
    values: Floats,
    null: NullDistribution,
    thresholds: NDArray[np.float64],
    shortest: int,
    longest: int,
    *,
    own_sign: bool,
    extend_bins: bool,
) -> NDArray[np.int64]:
    """Count the calls at many thresholds, in one pass over the values.

    Parameters
    ----------
    values, null, shortest, longest, own_sign, extend_bins
        As in `call_spans`.
    thresholds : numpy.ndarray, shape=(m,)
        From the laxest to the strictest.

    Returns
    -------
    numpy.ndarray, shape=(m,)
        How many calls there are at each threshold.
    """
    native = library()
    if native is None:
        options = {"own_sign": own_sign, "extend_bins": extend_bins}
        calls = [call_spans(values, null, threshold, shortest, longest, **options) for threshold in thresholds.tolist()]
        return np.array([len(one.spans) for one in calls], dtype=np.int64)
    critical = null.critical_sums(thresholds, shortest, longest)
    parts: list[NDArray[np.int64]] = []

    def work(first: int, last: int) -> None:
        counts = np.zeros(len(thresholds), dtype=np.int64)
        arguments = _loop_arguments(values, (first, last), null, critical, null.binning(values, extend_bins, own_sign))
        status = native.span_level_counts(*arguments, len(thresholds), shortest, longest, pointer(counts))
        _require_memory(status)
        parts.append(counts)

    over_rows(work, len(values))
    total: NDArray[np.int64] = np.sum(parts, axis=0)
    return total


def _loop_arguments(
    values: Floats, rows: tuple[int, int], null: NullDistribution, critical: NDArray[np.int64], binning: Binning
) -> tuple[object, ...]:
    """Return the arguments that the compiled loops begin with."""
    return (
        pointer(values),
        *rows,
        values.shape[1],
        ctypes.byref(binning),
        pointer(null.tails),
        pointer(critical),
    )


def _call_with_loop(
    native: ctypes.CDLL,
    values: Floats,
    rows: tuple[int, int],
    null: NullDistribution,
    critical: NDArray[np.int64],
    shortest: int,
    extend_bins: bool,
) -> Calls:
    most = (rows[1] - rows[0]) * (values.shape[1] // shortest)
    spans, scores = np.empty((most, 3), dtype=np.int64), np.empty((most, 2))
    lengths = shortest, shortest + len(critical) - 1
    arguments = _loop_arguments(values, rows, null, critical, null.binning(values, extend_bins))
    n = native.span_calls(*arguments, *lengths, pointer(spans), pointer(scores))
    _require_memory(n)
    return Calls(spans[:n].copy(), scores[:n].copy())


def _require_memory(returned: int) -> None:
    if returned < 0:
        raise MemoryError("no memory for the working space of one row")


def _call_with_numpy(
    values: Floats,
    rows: tuple[int, int],
    null: NullDistribution,
    critical: NDArray[np.int64],
    shortest: int,
    extend_bins: bool,
) -> Calls:
    block = values[rows[0] : rows[1]]
    sums = np.zeros((len(block), block.shape[1] + 1), dtype=np.int64)
    np.cumsum(null.bins(block, extend_bins), axis=1, out=sums[:, 1:])
    reach = _reach(sums, critical, shortest)
    spans: list[tuple[int, int, int]] = []
    scores: list[tuple[float, float]] = []
    for row in np.flatnonzero(reach.any(axis=1)).tolist():
        for start, span in _call_row(sums[row], reach[row], null, shortest):
            spans.append((rows[0] + row, start, span))
            # A running sum, as in the compiled loop: other orders of addition round differently.
            attribution = np.cumsum(block[row, start : start + span], dtype=np.float64)[-1]
            p_value = null.p_values(span, sums[row, start + span] - sums[row, start])
            scores.append((float(attribution), float(p_value)))
    return Calls(np.array(spans, dtype=np.int64).reshape(-1, 3), np.array(scores).reshape(-1, 2))


def _reach(sums: NDArray[np.int64], critical: NDArray[np.int64], shortest: int) -> NDArray[np.int64]:
    """Return the length of the longest good span from each start, or 0; shape (rows, length)."""
    reach = np.zeros((len(sums), sums.shape[1] - 1), dtype=np.int64)
    # Spans below the shortest length are not tested, so all of them pass.
    good = np.ones((len(sums), sums.shape[1] - (shortest - 1)), dtype=bool)
    for span, least in enumerate(critical.tolist(), start=shortest):
        good = good[:, :-1] & good[:, 1:] & (sums[:, span:] - sums[:, :-span] >= least)
        reach[:, : good.shape[1]][good] = span
    return reach


def _call_row(
    sums: NDArray[np.int64], reach: NDArray[np.int64], null: NullDistribution, shortest: int
) -> list[tuple[int, int]]:
    """Return start and length of each call: the longest first, then by p-value, then from the left."""
    worst = np.zeros(len(reach))
    ranked: dict[int, list[int]] = {}
    for span in range(shortest, int(reach.max()) + 1):
        starts = np.flatnonzero(reach >= span)
        # Starts are ranked by the worst p-value of the spans up to this length that begin there.
        worst[starts] = np.maximum(worst[starts], null.p_values(span, sums[starts + span] - sums[starts]))
        ranked[span] = starts[np.argsort(worst[starts], kind="stable")].tolist()
    called: list[tuple[int, int]] = []
    taken = np.zeros(len(reach), dtype=bool)
    for span in sorted(ranked, reverse=True):
        for start in ranked[span]:
            if not taken[start : start + span].any():
                taken[start : start + span] = True
                called.append((start, span))
    return called
