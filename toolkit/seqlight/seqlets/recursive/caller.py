"""Recursive seqlets: the longest spans whose inner spans are all rare."""

from __future__ import annotations

from numbers import Real
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.seqlets.genome_coordinates import to_genome
from seqlight.seqlets.recursive.false_discovery_rate import (
    NOTHING_CALLED,
    SeqletsAndFdr,
    call_counts,
    calls_at_joint_thresholds,
    fdr_curve,
    laxest_thresholds,
)
from seqlight.seqlets.recursive.null_distribution import NullDistribution, null_distributions
from seqlight.seqlets.recursive.overlaps import drop_overlaps, sort_by_position
from seqlight.seqlets.recursive.span_calls import Calls, call_spans
from seqlight.seqlets.seqlet_table import Floats, attribution_track, seqlet_table
from seqlight.sequence.checks import require_count
from seqlight.sequence.loci import Loci, as_loci

Sign = Literal["both", "positive", "negative"]
DEFAULT_FDR = 0.1
SIGNS: dict[str, tuple[int, ...]] = {"both": (1, -1), "positive": (1,), "negative": (-1,)}


@overload
def recursive_seqlets(
    X: torch.Tensor | NDArray[Any],
    threshold: float = ...,
    min_seqlet_len: int = ...,
    max_seqlet_len: int = ...,
    additional_flanks: int = ...,
    n_bins: int = ...,
    *,
    sign: Sign = ...,
    X_control: torch.Tensor | NDArray[Any] | None = ...,
    target_fdr: float | None = ...,
    loci: Loci | pd.DataFrame | None = ...,
    return_fdr: Literal[False] = ...,
) -> pd.DataFrame: ...


@overload
def recursive_seqlets(
    X: torch.Tensor | NDArray[Any],
    threshold: float = ...,
    min_seqlet_len: int = ...,
    max_seqlet_len: int = ...,
    additional_flanks: int = ...,
    n_bins: int = ...,
    *,
    sign: Sign = ...,
    X_control: torch.Tensor | NDArray[Any] | None = ...,
    target_fdr: float | None = ...,
    loci: Loci | pd.DataFrame | None = ...,
    return_fdr: Literal[True],
) -> SeqletsAndFdr: ...


def recursive_seqlets(
    X: torch.Tensor | NDArray[Any],
    threshold: float = 0.01,
    min_seqlet_len: int = 4,
    max_seqlet_len: int = 25,
    additional_flanks: int = 0,
    n_bins: int = 1000,
    *,
    sign: Sign = "both",
    X_control: torch.Tensor | NDArray[Any] | None = None,
    target_fdr: float | None = None,
    loci: Loci | pd.DataFrame | None = None,
    return_fdr: bool = False,
) -> pd.DataFrame | SeqletsAndFdr:
    """Find spans of high attribution by a rule with one threshold.

    A seqlet is the longest span whose p-value, and that of every span inside it down to the shortest length, is
    below the threshold. The p-value of a span is the probability that as many positions, drawn independently from
    all of `X`, sum to at least as much. Negative seqlets are the positive ones of ``-X``, against the null of
    ``-X``.

    Parameters
    ----------
    X : torch.Tensor or numpy.ndarray, shape=(n, length)
        Attributions of the observed characters: ``X_attr.sum(dim=1)``. Any real type, on any device, with or
        without gradients; half precision is computed in single.
    threshold : float, optional
        P-values must be below this, above 0 and at most 1. It ranks spans and is not an error rate; a looser
        threshold can merge two seqlets into one.
    min_seqlet_len, max_seqlet_len : int, optional
        The shortest and longest seqlet. Spans below the shortest length are not tested.
    additional_flanks : int, optional
        Positions to add at both ends of every seqlet once all are called, up to the ends of the example. Flanks
        may overlap; neither attribution nor p-value includes them.
    n_bins : int, optional
        How many bins of equal width the null has, from the smallest value to the largest.
    sign : {"both", "positive", "negative"}, optional
        Which seqlets to find. No two overlap (before flanks are added): where a positive and a negative one would,
        the one with the larger p-value is dropped, or of equal ones the one with the smaller absolute attribution.
        Attributions have the sign of their seqlet, so that a track without numbers below 0 has no negative seqlets;
        only "positive" by itself also returns spans that are high for their track but do not sum to more than 0.
    X_control : torch.Tensor or numpy.ndarray, shape=(m, length of the control), optional
        Attributions of sequences without signal, for instance shuffled ones. `threshold` is then ignored: each
        sign gets the largest of 117 thresholds, 0.1 to 1e-30, at which its own control calls estimate a false
        discovery rate of at most `target_fdr`. A sign that reaches it at no threshold has no seqlets, and a warning
        says so. Calls that are dropped in favour of the other sign are not counted.
    target_fdr : float, optional
        The largest estimated false discovery rate, above 0; 0.1 by default if there is a control.
    loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand, optional
        Where in a genome each example was cut from; adds the columns that `to_genome` adds.
    return_fdr : bool, optional
        Return the estimates at all thresholds too.

    Returns
    -------
    pandas.DataFrame, shape=(n_seqlets, 5), or 9 with `loci`
        Columns example_idx, start, end (int64), attribution (the signed sum over the called span) and p-value
        (float64), sorted by p-value, example_idx and start. Empty, with the same types, if nothing can be called: no
        examples, examples shorter than `min_seqlet_len`, all values equal, or ``min_seqlet_len > max_seqlet_len``.
        With `loci` also chrom, genome_start, genome_end and strand.
    SeqletsAndFdr
        Instead, with ``return_fdr=True``: the fields `seqlets`, the table above, and `fdr`, 117 rows for each sign
        with columns sign, threshold, n_seqlets, n_control_seqlets, fdr. Each sign is counted by itself, except at
        the thresholds that were chosen (or tried and rejected): there, overlaps between the signs are dropped first,
        so that the counts equal the number of seqlets.

    Raises
    ------
    InputError
        If `X` or `X_control` does not have two dimensions or holds NaN or infinity (the message names the rows), or
        an option is outside its range.

    Notes
    -----
    The method is that of tangermeme 1.6.0, and positive calls and p-values equal its own. It does not call negative
    seqlets, includes flanks in the attribution, and treats control values above the largest value of `X` as equally
    extreme; here they are more extreme, which heavy tails need.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.RandomState(1).normal(size=(1, 500))
    >>> X[0, 100:110] += 5
    >>> recursive_seqlets(X, threshold=1e-6)[["example_idx", "start", "end"]]
       example_idx  start  end
    0            0    100  110
    """
    signs = require_sign(sign)
    check_options(min_seqlet_len, max_seqlet_len, additional_flanks, n_bins, threshold)
    rate = DEFAULT_FDR if target_fdr is None else target_fdr
    check_rate(rate)
    values = attribution_track(X)
    places = None if loci is None else as_loci(loci, *values.shape)
    control = _control(X_control, values, target_fdr, return_fdr)
    longest = min(max_seqlet_len, values.shape[1])
    nulls: list[NullDistribution] = []
    if values.size and min_seqlet_len <= longest:
        nulls = null_distributions(values, signs, n_bins, longest)
    caller = _Caller(nulls, min_seqlet_len, longest, own_sign=signs != SIGNS["positive"])
    thresholds, calls = {null.sign: threshold for null in nulls}, None
    curves: list[pd.DataFrame] = []
    if control is not None:
        counts, scale = caller.counts(values, control), values.size / control.size
        if len(nulls) == 2:
            calls = calls_at_joint_thresholds(
                counts,
                scale,
                rate,
                lambda tried: (caller.calls(values, tried), caller.calls(control, tried, extend_bins=True)),
            )
        curves = [fdr_curve(which, counts.get(which, NOTHING_CALLED), scale) for which in signs]
        thresholds = laxest_thresholds(dict(zip(signs, curves, strict=True)), rate)
    seqlets = _to_table(calls or caller.calls(values, thresholds), additional_flanks, values.shape[1])
    seqlets = seqlets if places is None else to_genome(seqlets, places)
    return SeqletsAndFdr(seqlets, pd.concat(curves, ignore_index=True)) if return_fdr else seqlets


class _Caller(NamedTuple):
    """Finds the calls of one or both signs in a track."""

    nulls: list[NullDistribution]
    shortest: int
    longest: int
    own_sign: bool
    """Whether calls must sum to a number of their sign; positive ones alone need not, as in tangermeme."""

    def counts(self, values: Floats, control: Floats) -> dict[int, NDArray[np.int64]]:
        """Return the counts of each sign by itself, as from `call_counts`."""
        lengths = self.shortest, self.longest
        return {one.sign: call_counts(values, control, one, *lengths, own_sign=self.own_sign) for one in self.nulls}

    def calls(self, track: Floats, thresholds: dict[int, float], extend_bins: bool = False) -> Calls:
        """Return the calls of the signs that have a threshold, by position and without overlaps."""
        length = track.shape[1]
        nulls = [one for one in self.nulls if one.sign in thresholds and self.shortest <= length]
        lengths = self.shortest, min(self.longest, length)
        options = {"own_sign": self.own_sign, "extend_bins": extend_bins}
        calls = [call_spans(track, one, thresholds[one.sign], *lengths, **options) for one in nulls]
        found = sort_by_position(calls, length)
        return drop_overlaps(found, length) if len(nulls) > 1 else found


def require_sign(sign: object) -> tuple[int, ...]:
    """Return 1 for "positive", -1 for "negative", or both for "both"; raise InputError for another `sign`."""
    if not isinstance(sign, str) or sign not in SIGNS:
        found = repr(sign) if isinstance(sign, str) else f"of type {type(sign).__name__}"
        raise InputError(f"`sign` is {found}, but must be 'both', 'positive' or 'negative': choose one of them.")
    return SIGNS[sign]


def check_options(min_seqlet_len: int, max_seqlet_len: int, flanks: int, n_bins: int, threshold: float = 1) -> None:
    """Raise InputError if an option of the caller is outside its range."""
    if not isinstance(threshold, Real) or not 0 < threshold <= 1:  # NaN fails too
        raise InputError(f"`threshold` is {threshold!r}, but a p-value is above 0 and at most 1: choose one, say 0.01.")
    require_count(min_seqlet_len, "min_seqlet_len", least=1)
    require_count(max_seqlet_len, "max_seqlet_len", least=1)
    require_count(flanks, "additional_flanks")
    require_count(n_bins, "n_bins", least=2)


def check_rate(target_fdr: float) -> None:
    """Raise InputError unless this can be a false discovery rate."""
    if not isinstance(target_fdr, Real) or not target_fdr > 0:
        raise InputError(f"`target_fdr` is {target_fdr!r}, but must be a number above 0: choose one, say 0.1.")


def _control(
    X_control: torch.Tensor | NDArray[Any] | None, values: Floats, target_fdr: float | None, return_fdr: bool
) -> Floats | None:
    if X_control is None:
        if return_fdr or target_fdr is not None:
            raise InputError(
                f"`{'return_fdr' if return_fdr else 'target_fdr'}` came without `X_control`, from which the rate is "
                "estimated: pass attributions of shuffled sequences, as `shuffled_control` makes them, or call "
                "`calibrated_seqlets`."
            )
        return None
    control = attribution_track(X_control, "X_control")
    if not control.size:
        raise InputError(
            f"`X_control` has shape {control.shape}, which holds nothing to estimate a rate from: pass "
            "attributions of shuffled sequences."
        )
    # The control is binned like the values, and in their precision.
    with np.errstate(over="ignore"):  # what overflows goes into an end bin, where it belongs
        return control.astype(values.dtype, copy=False)


def _to_table(calls: Calls, flanks: int, length: int) -> pd.DataFrame:
    example, start, span = calls.spans.T
    attribution, p_value = calls.scores.T
    # By p-value, then example, then start; positive before negative if all three are equal.
    order = _stable_order(p_value)
    first = np.maximum(start - flanks, 0)
    last = np.minimum(start + span + flanks, length)
    return seqlet_table(example[order], first[order], last[order], attribution[order], p_value[order])


def _stable_order(p_values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the stable order of p-values, of which few differ, since each belongs to a sum of whole numbers."""
    ranks, distinct = pd.factorize(p_values, sort=True)
    # NumPy sorts short integers by radix sort, without comparisons.
    return np.argsort(ranks.astype(np.uint16) if len(distinct) <= 1 << 16 else ranks, kind="stable")
