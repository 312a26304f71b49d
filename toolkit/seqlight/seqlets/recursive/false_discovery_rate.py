"""Thresholds chosen by the calls that they make on control attributions.

All calls on a control, for instance on the attributions of shuffled sequences, are false. Their number, scaled to the
size of the input, estimates how many of the calls on the input are false. The control is scored against the null of
the input, and each sign against its own null, so each sign has its own curve and its own threshold. Where calls of
both signs overlap, one is dropped: the rate applies to the calls that remain, on the input and on the control. Control
values above all values of the input count as more extreme than those. If they shared the highest bin of the input, as
in tangermeme, the control would lose the spans that show how high chance can reach.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import SeqlightWarning
from seqlight.seqlets.recursive.null_distribution import NullDistribution
from seqlight.seqlets.recursive.span_calls import Calls, count_calls
from seqlight.seqlets.seqlet_table import Floats

SIGN_NAMES = {1: "positive", -1: "negative"}
# From 0.1 down to 1e-30, four for each factor of ten.
LEVELS = np.logspace(-1, -30, 117)
NOTHING_CALLED = np.zeros((2, len(LEVELS)), dtype=np.int64)


class SeqletsAndFdr(NamedTuple):
    """What ``recursive_seqlets(..., return_fdr=True)`` returns."""

    seqlets: pd.DataFrame
    """The seqlet table."""
    fdr: pd.DataFrame
    """Columns sign, threshold, n_seqlets, n_control_seqlets and fdr, the laxest threshold first."""


def call_counts(
    values: Floats, control: Floats, null: NullDistribution, shortest: int, longest: int, *, own_sign: bool = False
) -> NDArray[np.int64]:
    """Count the calls of one sign on the input and on the control, at every threshold.

    Parameters
    ----------
    values, control : numpy.ndarray, shapes (n, length) and (m, length of the control)
        Finite values of the same type.
    null : NullDistribution
        The null of the input.
    shortest, longest : int
        Lengths of calls; `longest` is at most the length of the values.
    own_sign : bool
        As in `call_spans`.

    Returns
    -------
    numpy.ndarray, shape=(2, 117)
        The calls on the input, and those on the control.
    """
    counts = NOTHING_CALLED.copy()
    for row, track in enumerate((values, control)):
        if shortest <= track.shape[1]:
            lengths = shortest, min(longest, track.shape[1])
            counts[row] = count_calls(track, null, LEVELS, *lengths, own_sign=own_sign, extend_bins=track is control)
    return counts


def calls_at_joint_thresholds(
    counts: dict[int, NDArray[np.int64]],
    scale: float,
    target_fdr: float,
    call: Callable[[dict[int, float]], tuple[Calls, Calls]],
) -> Calls | None:
    """Return the calls at the laxest thresholds of both signs that keep to `target_fdr` once overlaps are dropped.

    Parameters
    ----------
    counts : dict of int to numpy.ndarray, shape (2, 117)
        For each sign, from `call_counts`. At each threshold that is tried, replaced by those of the remaining calls.
    scale : float
        The size of the input, as a multiple of that of the control.
    target_fdr : float
        The largest rate of each sign.
    call : callable
        Takes a threshold for each sign and returns the calls of both on the input, and those on the control.

    Returns
    -------
    Calls or None
        Calls on the input; None if one sign reaches the rate at no threshold, so that no call of the other overlaps.
    """
    initial = {sign: one.copy() for sign, one in counts.items()}
    while True:
        levels = {sign: _laxest_level(one, scale, target_fdr) for sign, one in counts.items()}
        if None in levels.values():
            counts.update({sign: initial[sign] for sign, level in levels.items() if level is not None})
            return None
        found = call({sign: float(LEVELS[level]) for sign, level in levels.items()})
        for sign, level in levels.items():
            counts[sign][:, level] = [int((sign * one.scores[:, 0] > 0).sum()) for one in found]
        # A threshold that fails is not tried again, so the loop ends.
        if all(_laxest_level(one, scale, target_fdr) == levels[sign] for sign, one in counts.items()):
            return found[0]


def _laxest_level(counts: NDArray[np.int64], scale: float, target_fdr: float) -> int | None:
    passing = np.flatnonzero(_estimated_rates(counts, scale) <= target_fdr)
    return int(passing[0]) if len(passing) else None


def _estimated_rates(counts: NDArray[np.int64], scale: float) -> NDArray[np.float64]:
    n_calls, n_control = counts
    return np.asarray((n_control + 1) * scale / np.where(n_calls > 0, n_calls, np.nan))


def fdr_curve(sign: int, counts: NDArray[np.int64], scale: float) -> pd.DataFrame:
    """Estimate the false discovery rate of one sign at every threshold.

    The estimate is the number of control calls, plus one, times `scale`, over the number of calls; NaN where there
    are no calls. Adding one keeps a small control without any call from promising a rate of zero.

    Parameters
    ----------
    sign : int
        1 or -1.
    counts : numpy.ndarray, shape=(2, 117)
        From `call_counts`.
    scale : float
        The size of the input, as a multiple of that of the control.

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
            "fdr": _estimated_rates(counts, scale),
        }
    )


def laxest_thresholds(curves: dict[int, pd.DataFrame], target_fdr: float) -> dict[int, float]:
    """Return the largest threshold of each sign that keeps to `target_fdr`; warn if there is none."""
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
