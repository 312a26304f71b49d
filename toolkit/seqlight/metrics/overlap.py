"""How well intervals, usually seqlets, find other intervals, usually known motifs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError

COLUMNS = ("example_idx", "start", "end")


class Overlap(NamedTuple):
    """Agreement of found intervals with known ones.

    Attributes
    ----------
    recall : float
        The share of known intervals that a found one overlaps; NaN where none is known.
    precision : float
        The share of found intervals that overlap a known one; NaN where none was found.
    """

    recall: float
    precision: float


def overlap(found: pd.DataFrame, known: pd.DataFrame, min_overlap: int = 1) -> Overlap:
    """Compare found intervals with known ones.

    Parameters
    ----------
    found, known : pandas.DataFrame
        Columns example_idx, start and end (``start <= position < end``).
    min_overlap : int
        Positions that two intervals of one example must share to count.

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
    Overlap(recall=1.0, precision=0.5)
    """
    hit = overlapping(found, known, min_overlap)
    reached = overlapping(known, found, min_overlap)
    return Overlap(
        float(reached.mean()) if len(reached) else float("nan"),
        float(hit.mean()) if len(hit) else float("nan"),
    )


def overlapping(intervals: pd.DataFrame, others: pd.DataFrame, min_overlap: int = 1) -> NDArray[np.bool_]:
    """Return which `intervals` share at least `min_overlap` positions with one of `others`, a bool each.

    Parameters
    ----------
    intervals, others : pandas.DataFrame
        Columns example_idx, start and end.
    min_overlap : int
        1 or more.

    Returns
    -------
    numpy.ndarray of bool, shape (intervals,)

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics.overlap import overlapping
    >>> found = pd.DataFrame({"example_idx": [0, 1], "start": [3, 3], "end": [8, 8]})
    >>> overlapping(found, pd.DataFrame({"example_idx": [0], "start": [7], "end": [9]})).tolist()
    [True, False]
    """
    if min_overlap < 1:
        raise InputError(f"min_overlap is {min_overlap}: expected 1 position or more.")
    rows, rivals = require_intervals(intervals, "intervals"), require_intervals(others, "others")
    rivals = rivals[np.argsort(rivals[:, 0], kind="stable")]
    # The rivals of each row are those of its example: one stretch of the sorted table.
    firsts, lasts = (np.searchsorted(rivals[:, 0], rows[:, 0], side=side) for side in ("left", "right"))
    hit = np.zeros(len(rows), dtype=bool)
    for i, ((_, start, end), first, last) in enumerate(zip(rows, firsts, lasts, strict=True)):
        shared = np.minimum(rivals[first:last, 2], end) - np.maximum(rivals[first:last, 1], start)
        hit[i] = bool((shared >= min_overlap).any())
    return hit


def require_intervals(table: pd.DataFrame, name: str, n: int | None = None) -> NDArray[np.int64]:
    """Return example_idx, start and end of each row, shape (rows, 3); InputError if they are no intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        Of intervals.
    name : str
        What to call it in a message.
    n : int, optional
        How many examples there are; None for any.
    """
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
