"""TF-MoDISco's seqlets: windows of one width whose sums a null does not explain."""

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
    """What they were called by: `positive`, `negative`, and `sign`."""


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

    Attributions are summed over each window of `window_size` positions. From these sums a
    Laplace null and two thresholds are estimated, one a sign. In each example the window of
    the largest sum beyond a threshold is called, whatever lies within half a window and a flank
    of it is ruled out, and so on. Spans and order are those of modisco-lite 3.0.0.

    At least `min_passing_frac` of all windows pass, so seqlets are called in pure noise too:
    TF-MoDISco filters them later, by the motifs they form.

    Parameters
    ----------
    X : torch.Tensor or numpy.ndarray, shape=(n, length)
        Attributions of the observed characters: ``X_attr.sum(dim=1)``. Any real type, on any
        device, with gradients or without; half precision is computed in single.
    window_size : int, optional
        How many positions are summed.
    flank : int, optional
        Positions that a seqlet has on either side of its window. A window is only called if
        at least as many windows lie on either side of it.
    target_fdr : float, optional
        Which part of the windows beyond a threshold the null may explain, 0 to 1.
    min_passing_frac, max_passing_frac : float, optional
        The least and the largest part of all windows that pass, 0 to 1. Where the thresholds
        pass fewer or more, both become one quantile of the magnitudes.
    weak_threshold_for_counting_sign : float, optional
        The largest part of all windows whose magnitude may lie below the sign threshold, 0 to 1.
        It changes no call.
    loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand, optional
        Where in a genome each example was cut from: adds the columns that `to_genome` does.
    return_thresholds : bool, optional
        Return the thresholds too.

    Returns
    -------
    pandas.DataFrame, shape=(n_seqlets, 4), or 8 with `loci`
        Columns example_idx, start, end (int64) and attribution (float64), the sum over the window
        without flanks, with its sign. By example; within each by the magnitude of that sum, the
        largest first, ties from the left. Empty, with the same types, where nothing can be
        called: no examples, examples shorter than `window_size`, or all windows equal. With `loci` also
        chrom, genome_start, genome_end and strand.
    SeqletsAndThresholds
        Instead, with ``return_thresholds=True``: the fields `seqlets`, the table above, and
        `thresholds`, with the fields `positive` and `negative` (windows of at least, or at most,
        this sum pass) and `sign` (TF-MoDISco takes seqlets of a larger attribution as positive and
        those below its negative as negative; the second value that modisco-lite returns).

    Raises
    ------
    InputError
        If `X` is no two-dimensional array of real numbers or holds NaN or infinity, if a
        running sum leaves the range of its type, or an option the range given above.

    Notes
    -----
    Where modisco-lite fails or finds nothing for no reason, this goes on: without flanks no window
    is left out; a sign that no window has is not called; where the null reaches no window of a
    sign, all windows of that sign pass before the limits on their part are applied; and the
    commonest sums may differ by rounding alone. More than a million windows are sampled, always
    alike, to find the thresholds; all are searched.

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
    _check_parts(
        target_fdr=target_fdr,
        min_passing_frac=min_passing_frac,
        max_passing_frac=max_passing_frac,
        weak_threshold_for_counting_sign=weak_threshold_for_counting_sign,
    )
    values = attribution_track(X)
    places = None if loci is None else as_loci(loci, *values.shape)
    thresholds, where = NOTHING_PASSES, np.empty((0, 2), dtype=np.int64)
    if values.size and values.shape[1] >= window_size and values.min() < values.max():
        # Of equal values, sums differ by rounding at most: hence the last condition.
        sums = window_sums(values, window_size)
        parts = min_passing_frac, max_passing_frac
        thresholds = choose_thresholds(sums.ravel(), target_fdr, parts, weak_threshold_for_counting_sign)
        where = window_peaks(
            sums, thresholds.positive, thresholds.negative, margin=flank, apart=window_size // 2 + flank
        )
    seqlets = _table(values, where, window_size, flank)
    seqlets = seqlets if places is None else to_genome(seqlets, places)
    return SeqletsAndThresholds(seqlets, thresholds) if return_thresholds else seqlets


def _check_parts(**parts: float) -> None:
    for name, given in parts.items():
        if not isinstance(given, Real) or not 0 <= given <= 1:  # NaN fails too
            raise InputError(f"`{name}` is {given!r}, but is a part of the whole, 0 to 1: choose one in between.")
    if parts["min_passing_frac"] > parts["max_passing_frac"]:
        raise InputError(
            f"`min_passing_frac` is {parts['min_passing_frac']}, above `max_passing_frac`, "
            f"{parts['max_passing_frac']}: lower it."
        )


def _table(values: Floats, where: NDArray[np.int64], window: int, flank: int) -> pd.DataFrame:
    example, place = where.T
    attribution = np.zeros(len(where))
    for offset in range(window):
        attribution += values[example, place + offset]
    return seqlet_table(example, place - flank, place + window + flank, attribution)
