"""Choose a threshold by the calls that it makes on control attributions.

Calls on a control, for instance on the attributions of shuffled sequences, are false. Their
rate, scaled to the size of the input, estimates how many of the calls on the input are false.
The control is scored against the null of the input, and each sign against its own null, so
each sign has its own curve and its own threshold. What lies above all values of the input counts
as more extreme than those: were it put into the highest bin of the input, as the peer does, the
control would lose the spans that show how high chance reaches.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import SeqlightWarning
from seqlight.seqlets.background import Background
from seqlight.seqlets.decode import count_calls
from seqlight.seqlets.spans import Floats

SIGN_NAMES = {1: "positive", -1: "negative"}
# 0.1 down to 1e-30, four in a factor of ten.
LEVELS = np.logspace(-1, -30, 117)
NOTHING_CALLED = np.zeros((2, len(LEVELS)), dtype=np.int64)


class SeqletsAndFdr(NamedTuple):
    """What ``recursive_seqlets(..., return_fdr=True)`` returns."""

    seqlets: pd.DataFrame
    """The seqlet table."""
    fdr: pd.DataFrame
    """Columns sign, threshold, n_seqlets, n_control_seqlets and fdr, laxest threshold first."""


def call_counts(values: Floats, control: Floats, null: Background, shortest: int, longest: int) -> NDArray[np.int64]:
    """Count the calls of one sign, on the input and on the control, at every threshold level.

    Parameters
    ----------
    values, control : numpy.ndarray, shapes (n, length) and (m, length of the control)
        Finite values of the same type.
    null : Background
        The null of the values.
    shortest, longest : int
        Lengths of calls; `longest` is at most the length of the values.

    Returns
    -------
    numpy.ndarray, shape=(2, 117)
        The calls on the values, and those on the control.
    """
    counts = NOTHING_CALLED.copy()
    for row, track in enumerate((values, control)):
        if shortest <= track.shape[1]:
            lengths = shortest, min(longest, track.shape[1])
            counts[row] = count_calls(track, null, LEVELS, *lengths, beyond=track is control)
    return counts


def fdr_curve(sign: int, counts: NDArray[np.int64], scale: float) -> pd.DataFrame:
    """Estimate the false discovery rate of one sign at every threshold level.

    The estimate is the number of control calls, plus one, times `scale`, over the number of
    calls; NaN where there are no calls. The added one keeps a small control, in which nothing
    is called, from promising a rate of zero.

    Parameters
    ----------
    sign : int
        1 or -1.
    counts : numpy.ndarray, shape=(2, 117)
        As from `call_counts`.
    scale : float
        How many times larger the input is than the control.

    Returns
    -------
    pandas.DataFrame, shape=(117, 5)
        As in `SeqletsAndFdr`.
    """
    n_calls, n_control = counts
    return pd.DataFrame(
        {
            "sign": SIGN_NAMES[sign],
            "threshold": LEVELS,
            "n_seqlets": n_calls,
            "n_control_seqlets": n_control,
            "fdr": (n_control + 1) * scale / np.where(n_calls > 0, n_calls, np.nan),
        }
    )


def laxest_thresholds(curves: dict[int, pd.DataFrame], target_fdr: float) -> dict[int, float]:
    """Return the largest threshold of each sign that keeps to `target_fdr`; warn where there is none."""
    found: dict[int, float] = {}
    for sign, curve in curves.items():
        passing = curve["threshold"][curve["fdr"] <= target_fdr]
        if len(passing):
            found[sign] = float(passing.max())
            continue
        lowest = curve["fdr"].min()
        reached = "nothing is called" if np.isnan(lowest) else f"the lowest estimate is {lowest:.3g}"
        warnings.warn(
            f"No threshold reaches a false discovery rate of {target_fdr} for {SIGN_NAMES[sign]} seqlets "
            f"({reached}), so none are returned: raise `target_fdr`, or give a larger `X_control`.",
            SeqlightWarning,
            stacklevel=3,
        )
    return found
