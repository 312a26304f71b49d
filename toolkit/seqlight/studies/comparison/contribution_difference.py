"""How far two arrays of contributions are apart, on a scale that neither one giant row nor a silent one distorts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.studies.report.phrases import as_share


@dataclass(frozen=True)
class ContributionDifference:
    """The largest difference between two arrays, and where it is.

    Attributes
    ----------
    size : float
        As a share of the scale of its row; 0 for equal arrays, at most 2, or infinity where only one is finite.
    place : tuple of int
        The index of the largest difference; its first number is the row, its last the position.
    old, new : float
        The two contributions there.
    """

    size: float
    place: tuple[int, ...]
    old: float
    new: float

    @property
    def share(self) -> str:
        """The size in words: "3 % of the largest"."""
        if not np.isfinite(self.size):
            return "what is finite in one of them only"
        return f"{as_share(self.size)} of the largest"


def contribution_difference(old: NDArray[Any], new: NDArray[Any]) -> ContributionDifference:
    """Return the largest difference between two arrays of contributions of one shape.

    The scale of a row is its largest magnitude in either array, or that of the median row if that is larger. On the
    scale of the whole, one row of giants would hide what happens in all others; on the scale of each row alone, the
    rounding of a row in which hardly anything contributes would look like a change. NaN is equal to NaN, and an
    infinity to the same infinity.

    Parameters
    ----------
    old, new : numpy.ndarray, shape (rows, ..., positions)

    Returns
    -------
    ContributionDifference

    Examples
    --------
    >>> found = contribution_difference(np.array([[1.0, 0.0], [0.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 4.1]]))
    >>> found.place, round(found.size, 3), found.new
    ((1, 1), 0.024, 4.1)
    """
    old, new = old.astype(np.float64), new.astype(np.float64)
    if not old.size:
        return ContributionDifference(0.0, (), float("nan"), float("nan"))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where((old == new) | (np.isnan(old) & np.isnan(new)), 0.0, np.abs(old - new))
        size = np.where(apart == 0, 0.0, apart / _scales(old, new))
    size[np.isnan(size)] = np.inf  # one of the two is not finite
    place = tuple(int(one) for one in np.unravel_index(int(size.argmax()), size.shape))
    return ContributionDifference(float(size[place]), place, float(old[place]), float(new[place]))


def _scales(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Return the scale of each row, shaped to divide the arrays."""
    finite = np.where(np.isfinite(old) & np.isfinite(new), np.maximum(np.abs(old), np.abs(new)), 0.0)
    largest = finite.reshape(len(finite), -1).max(axis=1)
    scales: NDArray[Any] = np.maximum(largest, np.median(largest))
    return scales.reshape(-1, *[1] * (old.ndim - 1))
