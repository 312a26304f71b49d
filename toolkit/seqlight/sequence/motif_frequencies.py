"""Whether the columns of a motif are frequencies, or counts that can be made such."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Columns of float32 means, or rounded to three digits as databases have them, sum to one no better.
TOLERANCE = 0.01 + 1e-9  # and a hair, for 0.33 + 0.33 + 0.33
# Of numbers printed with two digits, and of twenty in particular, the sum is further off, but no further than this.
MOST_ROUNDING = 0.05
# How far apart sums of counts may be that were added up in single precision.
SAME = 1e-4


class Fault(NamedTuple):
    """What is wrong with a motif.

    Attributes
    ----------
    column : int
        The first position it is wrong at.
    what : str
        For a message, behind the name of the motif.
    """

    column: int
    what: str


def fault(motif: NDArray[np.float64], rounding: float = 0.0) -> Fault | None:
    """Return what keeps a motif from being frequencies or counts.

    Parameters
    ----------
    motif : numpy.ndarray, shape (letters, positions)
        Neither of them 0.
    rounding : float
        How much the sum of a column may be off because its numbers were printed with few digits.

    Returns
    -------
    Fault or None
        None for frequencies, each column of which sums to one, and for counts, all columns of which sum to the same
        number above one.

    Examples
    --------
    >>> import numpy as np
    >>> fault(np.array([[20.0, 19.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])).column
    0
    """
    for bad, what in (
        (~np.isfinite(motif), "holds NaN or infinity"),
        (motif < 0, "holds numbers below 0"),
    ):
        if bad.any():
            return Fault(int(bad.any(axis=0).argmax()), f"{what}: expected frequencies")
    if _are_counts(motif, rounding):
        return None
    sums = _sums(motif)
    off = np.abs(sums - 1) > _tolerance(rounding)
    if not off.any():
        return None
    column = int(off.argmax())
    return Fault(
        column,
        f"has a position that does not sum to one, but to {sums[column]:.6g}: expected frequencies (or counts, if all "
        "positions sum to the same)",
    )


def as_frequencies(motif: NDArray[np.float64], rounding: float = 0.0) -> NDArray[np.float64]:
    """Return a motif without a fault as frequencies: as it is if its columns sum to one, or divided by their sums.

    Examples
    --------
    >>> import numpy as np
    >>> as_frequencies(np.array([[20.0, 5.0], [0.0, 5.0], [0.0, 5.0], [0.0, 5.0]]))[:, 1]
    array([0.25, 0.25, 0.25, 0.25])
    """
    sums = motif.sum(axis=0)
    return motif / sums if _are_counts(motif, rounding) or (np.abs(sums - 1) > TOLERANCE).any() else motif


def are_frequencies(motif: NDArray[np.float64]) -> bool:
    """Return whether each column sums to one."""
    return bool((np.abs(motif.sum(axis=0) - 1) <= TOLERANCE).all())


def _are_counts(motif: NDArray[np.float64], rounding: float) -> bool:
    sums = _sums(motif)
    low, high = float(sums.min()), float(sums.max())
    return low > 1 + _tolerance(rounding) and high < np.inf and high - low <= max(SAME * high, 2 * rounding)


def _sums(motif: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # infinity is no sum of frequencies either
        return np.asarray(motif.sum(axis=0))


def _tolerance(rounding: float) -> float:
    return min(max(TOLERANCE, rounding), MOST_ROUNDING)
