"""Whether a motif holds frequencies, or counts that can be turned into frequencies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Columns averaged in float32, or rounded to three digits as in databases, sum to one only this closely.
TOLERANCE = 0.01 + 1e-9  # slightly more than 0.01, for 0.33 + 0.33 + 0.33
# Sums of numbers printed with two digits, of twenty letters in particular, are further off, but at most by this.
MOST_ROUNDING = 0.05
# The largest relative difference between column sums of counts that were added in single precision.
COUNT_TOLERANCE = 1e-4


class Fault(NamedTuple):
    """What is wrong with a motif.

    Attributes
    ----------
    column : int
        The first position where it is wrong.
    what : str
        The rest of a message that begins with the name of the motif.
    """

    column: int
    what: str


def find_fault(motif: NDArray[np.float64], rounding: float = 0.0) -> Fault | None:
    """Return why a motif holds neither frequencies nor counts.

    Parameters
    ----------
    motif : numpy.ndarray, shape (letters, positions)
        Neither of them 0.
    rounding : float
        How far the sum of a column may be off because its numbers were printed with few digits.

    Returns
    -------
    Fault or None
        None for frequencies, where each column sums to one, and for counts, where all columns sum to the same number
        above one.

    Examples
    --------
    >>> import numpy as np
    >>> find_fault(np.array([[20.0, 19.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])).column
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
    """Return a valid motif as frequencies: unchanged if its columns sum to one, otherwise divided by their sums.

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
    return low > 1 + _tolerance(rounding) and high < np.inf and high - low <= max(COUNT_TOLERANCE * high, 2 * rounding)


def _sums(motif: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # an infinite sum is refused like any other wrong one
        return np.asarray(motif.sum(axis=0))


def _tolerance(rounding: float) -> float:
    return min(max(TOLERANCE, rounding), MOST_ROUNDING)
