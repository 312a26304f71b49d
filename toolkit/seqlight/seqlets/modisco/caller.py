"""TF-MoDISco seqlets: windows of one width whose sums a null does not explain."""

from __future__ import annotations

from numbers import Real
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.seqlets.genome_coordinates import to_genome
from seqlight.seqlets.modisco.thresholds import NOTHING_PASSES, Thresholds, choose_thresholds
from seqlight.seqlets.modisco.windows import window_peaks, window_sums
from seqlight.seqlets.seqlet_table import Floats, attribution_track, seqlet_table
from seqlight.sequence.checks import require_count
from seqlight.sequence.loci import Loci, as_loci


class SeqletsAndThresholds(NamedTuple):
    """What ``tfmodisco_seqlets(..., return_thresholds=True)`` returns."""

    seqlets: pd.DataFrame
    """The seqlets, one row each."""
    thresholds: Thresholds
    """The thresholds that called them: `positive`, `negative`, and `sign`."""


@overload
def tfmodisco_seqlets(
    X: torch.Tensor | NDArray[Any],
    window_size: int = ...,
    flank: int = ...,
    target_fdr: float = ...,
    min_passing_frac: float = ...,
    max_passing_frac: float = ...,
    weak_threshold_for_counting_sign: float = ...,
    *,
    loci: Loci | pd.DataFrame | None = ...,
    return_thresholds: Literal[False] = ...,
) -> pd.DataFrame: ...


@overload
def tfmodisco_seqlets(
    X: torch.Tensor | NDArray[Any],
    window_size: int = ...,
    flank: int = ...,
    target_fdr: float = ...,
    min_passing_frac: float = ...,
    max_passing_frac: float = ...,
    weak_threshold_for_counting_sign: float = ...,
    *,
    loci: Loci | pd.DataFrame | None = ...,
    return_thresholds: Literal[True],
) -> SeqletsAndThresholds: ...


def tfmodisco_seqlets(
    X: torch.Tensor | NDArray[Any],
    window_size: int = 21,
    flank: int = 10,
    target_fdr: float = 0.2,
    min_passing_frac: float = 0.03,
    max_passing_frac: float = 0.2,
    weak_threshold_for_counting_sign: float = 0.8,
    *,
    loci: Loci | pd.DataFrame | None = None,
    return_thresholds: bool = False,
) -> pd.DataFrame | SeqletsAndThresholds:
    """Find seqlets as TF-MoDISco does: the first step of its search for motifs.

    Attributions are summed over each window of `window_size` positions. From these sums a Laplace null and two
    thresholds, one for each sign, are estimated. In each example the window with the largest sum beyond a threshold is
    called, everything within half a window and a flank of it is excluded, and so on. Spans and order are those of
    modisco-lite 3.0.0.

    At least `min_passing_frac` of all windows pass, so seqlets are called in pure noise too: TF-MoDISco filters them
    later, by the motifs they form.

    Parameters
    ----------
    X : torch.Tensor or numpy.ndarray, shape=(n, length)
        Attributions of the observed characters: ``X_attr.sum(dim=1)``. Any real type, on any device, with or
        without gradients; half precision is computed in single.
    window_size : int, optional
        The number of positions that are summed.
    flank : int, optional
        Positions that a seqlet has on either side of its window. A window is called only if at least as many windows
        lie on either side of it.
    target_fdr : float, optional
        The share of windows beyond a threshold that the null may explain, 0 to 1.
    min_passing_frac, max_passing_frac : float, optional
        The smallest and the largest share of all windows that pass, 0 to 1. If fewer or more pass the thresholds,
        both become one quantile of the magnitudes.
    weak_threshold_for_counting_sign : float, optional
        The largest share of all windows whose magnitude may lie below the sign threshold, 0 to 1. It changes no call.
    loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand, optional
        Where in a genome each example was cut from; adds the columns that `to_genome` adds.
    return_thresholds : bool, optional
        Return the thresholds too.

    Returns
    -------
    pandas.DataFrame, shape=(n_seqlets, 4), or 8 with `loci`
        Columns example_idx, start, end (int64) and attribution (float64), the signed sum over the window without
        flanks. Sorted by example, then by the magnitude of that sum, the largest first, ties from the left. Empty,
        with the same types, if nothing can be called: no examples, examples shorter than `window_size`, or all
        windows equal. With `loci` also chrom, genome_start, genome_end and strand.
    SeqletsAndThresholds
        Instead, with ``return_thresholds=True``: the fields `seqlets`, the table above, and `thresholds`, with the
        fields `positive` and `negative` (windows with at least, or at most, this sum pass) and `sign` (TF-MoDISco
        takes seqlets with a larger attribution as positive and those below its negative as negative; the second value
        that modisco-lite returns).

    Raises
    ------
    InputError
        If `X` is not a two-dimensional array of real numbers or holds NaN or infinity, if a running sum overflows its
        type, or if an option is outside the range given above.

    Notes
    -----
    Where modisco-lite fails, or finds nothing without a reason, this carries on: without flanks no window is left out;
    a sign that no window has is not called; if the null reaches no window of a sign, all windows of that sign pass
    before the limits on their share are applied; and the most common sums may differ by rounding alone. With more than
    a million windows, the thresholds are found on a fixed sample, and all windows are searched.

    Source: Shrikumar et al., Technical Note on Transcription Factor Motif Discovery from
    Importance Scores (TF-MoDISco), arXiv:1811.00416, as modisco-lite 3.0.0 computes it.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.RandomState(0).normal(size=(1, 500))
    >>> X[0, 100:121] += 5
    >>> found = tfmodisco_seqlets(X, return_thresholds=True)
    >>> found.seqlets[["example_idx", "start", "end"]].head(1)
       example_idx  start  end
    0            0     90  131
    >>> round(found.thresholds.positive, 2)
    19.02
    """
    window_size, flank = require_count(window_size, "window_size", 1), require_count(flank, "flank")
    _require_fractions(
        target_fdr=target_fdr,
        min_passing_frac=min_passing_frac,
        max_passing_frac=max_passing_frac,
        weak_threshold_for_counting_sign=weak_threshold_for_counting_sign,
    )
    values = attribution_track(X)
    places = None if loci is None else as_loci(loci, *values.shape)
    thresholds, peaks = NOTHING_PASSES, np.empty((0, 2), dtype=np.int64)
    if values.size and values.shape[1] >= window_size and values.min() < values.max():
        # The last condition is there because sums of equal values differ by rounding at most.
        sums = window_sums(values, window_size)
        passing = min_passing_frac, max_passing_frac
        thresholds = choose_thresholds(sums.ravel(), target_fdr, passing, weak_threshold_for_counting_sign)
        limits = thresholds.positive, thresholds.negative
        peaks = window_peaks(sums, *limits, margin=flank, exclusion=window_size // 2 + flank)
    seqlets = _to_table(values, peaks, window_size, flank)
    seqlets = seqlets if places is None else to_genome(seqlets, places)
    return SeqletsAndThresholds(seqlets, thresholds) if return_thresholds else seqlets


def _require_fractions(**fractions: float) -> None:
    for name, value in fractions.items():
        if not isinstance(value, Real) or not 0 <= value <= 1:  # NaN fails too
            raise InputError(f"`{name}` is {value!r}, but must be a fraction from 0 to 1: choose one in between.")
    if fractions["min_passing_frac"] > fractions["max_passing_frac"]:
        raise InputError(
            f"`min_passing_frac` is {fractions['min_passing_frac']}, above `max_passing_frac`, "
            f"{fractions['max_passing_frac']}: lower it."
        )


def _to_table(values: Floats, peaks: NDArray[np.int64], window: int, flank: int) -> pd.DataFrame:
    example, start = peaks.T
    attribution = np.zeros(len(peaks))
    for offset in range(window):
        attribution += values[example, start + offset]
    return seqlet_table(example, start - flank, start + window + flank, attribution)
