"""How well intervals, usually seqlets, find other intervals, usually known motifs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Overlap(NamedTuple):
    """Agreement of found intervals with known ones.

    Attributes
    ----------
    recall : float
        The share of known intervals that a found one overlaps.
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
    """Return which `intervals` share at least `min_overlap` positions with one of `others`, a bool each."""
    hit = np.zeros(len(intervals), dtype=bool)
    by_example = {int(str(i)): rows[["start", "end"]].to_numpy() for i, rows in others.groupby("example_idx")}
    columns = (intervals[name].to_numpy() for name in ("example_idx", "start", "end"))
    for row, (example, start, end) in enumerate(zip(*columns, strict=True)):
        rivals = by_example.get(int(example))
        if rivals is not None:
            shared = np.minimum(rivals[:, 1], end) - np.maximum(rivals[:, 0], start)
            hit[row] = bool((shared >= min_overlap).any())
    return hit
