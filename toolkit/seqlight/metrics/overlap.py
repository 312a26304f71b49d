"""How well intervals, usually seqlets, match other intervals, usually known motifs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError, kind_of

COLUMNS = ("example_idx", "start", "end")
Rows = NDArray[np.int64]


class Overlap(NamedTuple):
    """How well found intervals agree with known ones.

    Attributes
    ----------
    recall : float
        The share of known intervals that a found one overlaps; NaN where none is known.
    precision : float
        The share of found intervals that overlap a known one; NaN where none was found.
    iou : float
        Intersection over union: of the positions in any interval, the share that both found and known ones
        cover; NaN where there are none.
    """

    recall: float
    precision: float
    iou: float


def overlap(found: pd.DataFrame, known: pd.DataFrame, min_overlap: int = 1) -> Overlap:
    """Compare found intervals with known ones.

    Parameters
    ----------
    found, known : pandas.DataFrame
        Columns example_idx, start and end (``start <= position < end``).
    min_overlap : int
        Positions that two intervals of one example must share to count for recall and precision.

    Returns
    -------
    Overlap

    Raises
    ------
    InputError
        If a table lacks a column or has an interval that ends before it starts, or `min_overlap` is below 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics.overlap import overlap
    >>> found = pd.DataFrame({"example_idx": [0, 0], "start": [3, 20], "end": [8, 25]})
    >>> known = pd.DataFrame({"example_idx": [0], "start": [5], "end": [12]})
    >>> overlap(found, known)
    Overlap(recall=1.0, precision=0.5, iou=0.21428571428571427)
    """
    hit = overlap_mask(found, known, min_overlap)
    reached = overlap_mask(known, found, min_overlap)
    return Overlap(
        float(reached.mean()) if len(reached) else float("nan"),
        float(hit.mean()) if len(hit) else float("nan"),
        intersection_over_union(found, known),
    )


def intersection_over_union(found: pd.DataFrame, known: pd.DataFrame) -> float:
    """Return the share of covered positions that both tables cover.

    A position counts once, however many intervals of a table cover it.

    Parameters
    ----------
    found, known : pandas.DataFrame
        Columns example_idx, start and end.

    Returns
    -------
    float
        0 to 1; NaN where nothing is covered.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics.overlap import intersection_over_union
    >>> found = pd.DataFrame({"example_idx": [0], "start": [3], "end": [9]})
    >>> intersection_over_union(found, pd.DataFrame({"example_idx": [0], "start": [6], "end": [12]}))
    0.3333333333333333
    """
    both, either = shared_positions(found, known)
    return both / either if either else float("nan")


def shared_positions(found: pd.DataFrame, known: pd.DataFrame) -> tuple[int, int]:
    """Return how many positions both tables cover, and how many either of them covers.

    Parameters
    ----------
    found, known : pandas.DataFrame
        Columns example_idx, start and end.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics.overlap import shared_positions
    >>> found = pd.DataFrame({"example_idx": [0], "start": [3], "end": [9]})
    >>> shared_positions(found, pd.DataFrame({"example_idx": [0], "start": [6], "end": [12]}))
    (3, 9)
    """
    rows, others = require_intervals(found, "found"), require_intervals(known, "known")
    either = _covered(np.concatenate([rows, others]))
    return _covered(rows) + _covered(others) - either, either


def best_iou(intervals: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.float64]:
    """Return the largest intersection over union of each interval with any of `others`.

    Parameters
    ----------
    intervals, others : pandas.DataFrame
        Columns example_idx, start and end.

    Returns
    -------
    numpy.ndarray, shape (intervals,)
        0 where there is no overlap, 1 where one of `others` is the same.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics.overlap import best_iou
    >>> found = pd.DataFrame({"example_idx": [0, 1], "start": [3, 3], "end": [9, 9]})
    >>> best_iou(found, pd.DataFrame({"example_idx": [0, 0], "start": [3, 6], "end": [6, 12]})).tolist()
    [0.5, 0.0]
    """
    best = np.zeros(len(intervals))
    for i, (row, same_example) in enumerate(_by_example(intervals, others)):
        best[i] = _ious(row, same_example).max(initial=0.0)
    return best


def overlap_mask(
    intervals: pd.DataFrame, others: pd.DataFrame, min_overlap: int = 1, min_iou: float = 0.0
) -> NDArray[np.bool_]:
    """Return which `intervals` share at least `min_overlap` positions with one of `others`.

    Parameters
    ----------
    intervals, others : pandas.DataFrame
        Columns example_idx, start and end.
    min_overlap : int
        1 or more.
    min_iou : float
        The intersection over union of the same two must also be at least this, 0 to 1.

    Returns
    -------
    numpy.ndarray of bool, shape (intervals,)

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics.overlap import overlap_mask
    >>> found = pd.DataFrame({"example_idx": [0, 1], "start": [3, 3], "end": [8, 8]})
    >>> overlap_mask(found, pd.DataFrame({"example_idx": [0], "start": [7], "end": [9]})).tolist()
    [True, False]
    """
    require_overlap(min_overlap, min_iou)
    hit = np.zeros(len(intervals), dtype=bool)
    for i, (row, same_example) in enumerate(_by_example(intervals, others)):
        hit[i] = bool(((_shared(row, same_example) >= min_overlap) & (_ious(row, same_example) >= min_iou)).any())
    return hit


def require_overlap(min_overlap: int, min_iou: float) -> None:
    """Raise InputError unless these can be a number of shared positions and an intersection over union."""
    if min_overlap < 1:
        raise InputError(f"min_overlap is {min_overlap}: expected 1 position or more.")
    if not 0 <= min_iou <= 1:
        raise InputError(f"min_iou is {min_iou}: expected 0 to 1.")


def require_intervals(table: pd.DataFrame, name: str, n: int | None = None) -> NDArray[np.int64]:
    """Return example_idx, start and end of each row, shape (rows, 3); raise InputError unless they are intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns example_idx, start and end.
    name : str
        Its name in error messages.
    n : int, optional
        How many examples there are; None for any.
    """
    if not isinstance(table, pd.DataFrame):
        raise InputError(
            f"{name} is {kind_of(table)}: expected a pandas.DataFrame with the columns {', '.join(COLUMNS)}."
        )
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"{name} has no column {missing[0]!r}: expected the columns {', '.join(COLUMNS)}.")
    values = table[list(COLUMNS)].to_numpy()
    if len(values) and not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"{name} holds {values.dtype} in {', '.join(COLUMNS)}: expected whole numbers.")
    rows = values.astype(np.int64)
    if bool((rows[:, 2] < rows[:, 1]).any()):
        raise InputError(f"{name} has an interval that ends before it starts: expected start <= end.")
    if n is not None and bool(((rows[:, 0] < 0) | (rows[:, 0] >= n)).any()):
        raise InputError(f"{name} names an example_idx outside 0 to {n - 1}: expected rows of the {n} sequences.")
    return rows


def _by_example(intervals: pd.DataFrame, others: pd.DataFrame) -> Iterator[tuple[Rows, Rows]]:
    """Yield each interval, shape (3,), with those of `others` in the same example, shape (n, 3)."""
    rows, others_rows = require_intervals(intervals, "intervals"), require_intervals(others, "others")
    others_rows = others_rows[np.argsort(others_rows[:, 0], kind="stable")]
    # Those of one example are one stretch of the sorted table.
    firsts, lasts = (np.searchsorted(others_rows[:, 0], rows[:, 0], side=side) for side in ("left", "right"))
    for row, first, last in zip(rows, firsts, lasts, strict=True):
        yield row, others_rows[first:last]


def _shared(row: Rows, others: Rows) -> NDArray[np.int64]:
    """Return how many positions `row` shares with each of `others`."""
    shared: NDArray[np.int64] = np.minimum(others[:, 2], row[2]) - np.maximum(others[:, 1], row[1])
    return shared.clip(0)


def _ious(row: Rows, others: Rows) -> NDArray[np.float64]:
    """Return the intersection over union of `row` with each of `others`; 0 for two of no length."""
    shared = _shared(row, others)
    either = (row[2] - row[1]) + (others[:, 2] - others[:, 1]) - shared
    ious: NDArray[np.float64] = shared / np.maximum(either, 1)
    return ious


def _covered(rows: Rows) -> int:
    """Return how many positions the intervals cover."""
    if not len(rows):
        return 0
    example, start, end = rows[np.lexsort((rows[:, 1], rows[:, 0]))].T
    # Examples are laid end to end, so that one running maximum serves all of them.
    offset = (example - example[0]) * int(end.max() - start.min() + 1)
    start, end = start + offset, end + offset
    before = np.concatenate([start[:1], np.maximum.accumulate(end)[:-1]])
    return int(np.maximum(end - np.maximum(start, before), 0).sum())
