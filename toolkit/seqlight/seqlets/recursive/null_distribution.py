"""The null of the recursive caller: how likely sums of independent positions are to reach each value.

Attributions are put into `n_bins` bins of equal width. The sum over a span of ``L`` independently drawn positions has
the distribution of single bins convolved with itself ``L`` times, and the tail of that distribution gives the p-value
of a span.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.native.library import library, pointer
from seqlight.native.threads import over_rows
from seqlight.seqlets.seqlet_table import Floats, minimum_and_maximum

# A bin so high that any span that includes it exceeds all sums of the null, while sums of such bins still fit.
UNREACHABLE_BIN = 1 << 30


class Binning(ctypes.Structure):
    """The parameters that turn values into bins: the fields of ``binning`` in recursive_seqlets.c."""

    _fields_ = (
        ("origin", ctypes.c_double),
        ("width", ctypes.c_double),
        ("itemsize", ctypes.c_int64),
        ("sign", ctypes.c_int64),
        ("n_bins", ctypes.c_int64),
        ("highest", ctypes.c_int64),
        ("own", ctypes.c_int64),
    )


@dataclass(frozen=True)
class NullDistribution:
    """The bins for seqlets of one sign, and the tails of their sums.

    Attributes
    ----------
    sign : int
        1 for sums of the values, -1 for sums of the negated values.
    origin, width : float
        The edge where the lowest bin begins (in the original values), and the width of a bin.
    n_bins : int
        The number of bins.
    longest : int
        The longest span that has a tail.
    tails : numpy.ndarray
        ``P(sum of L bins >= s)`` for L = 1 .. `longest`, one after the other, float64.
    """

    sign: int
    origin: float
    width: float
    n_bins: int
    longest: int
    tails: NDArray[np.float64]

    def tail(self, span: int) -> NDArray[np.float64]:
        """Return the tail of sums of `span` bins, one entry for each possible sum."""
        first = (span - 1) * span // 2 * (self.n_bins - 1) + span - 1
        return self.tails[first : first + span * (self.n_bins - 1) + 1]

    def critical_sums(self, thresholds: NDArray[np.float64], shortest: int, longest: int) -> NDArray[np.int64]:
        """Return, for each threshold and length, the smallest sum whose p-value is below the threshold.

        Tails never rise, so a p-value is below the threshold exactly if the sum is at least this one. Where no
        p-value is small enough, it exceeds the largest sum.
        """
        tails = [self.tail(span) for span in range(shortest, longest + 1)]
        sums = np.array([len(tail) - np.searchsorted(tail[::-1], thresholds) for tail in tails], dtype=np.int64)
        return np.ascontiguousarray(sums.T)

    def p_values(self, span: int, sums: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the p-values of sums of `span` bins; 0 above the largest sum of the null."""
        tail = self.tail(span)
        return np.where(sums < len(tail), tail[np.minimum(sums, len(tail) - 1)], 0.0)

    def highest_bin(self, extend_bins: bool) -> int:
        """Return the index of the highest bin: that of the null, or with `extend_bins` one that no value reaches."""
        return UNREACHABLE_BIN if extend_bins else self.n_bins - 1

    def binning(self, values: Floats, extend_bins: bool = False, own_sign: bool = False) -> Binning:
        """Return the bins as the compiled loops take them."""
        highest = self.highest_bin(extend_bins)
        return Binning(self.origin, self.width, values.itemsize, self.sign, self.n_bins, highest, own_sign)

    def bins(self, values: Floats, extend_bins: bool = False) -> NDArray[np.int64]:
        """Return the bin of each value.

        Values outside the range of the null go into its end bins; with `extend_bins`, those above it get further bins.
        """
        origin = values.dtype.type(self.origin)
        with np.errstate(over="ignore"):  # a control may lie far outside
            above = values - origin if self.sign > 0 else origin - values
        return np.clip(above.astype(np.float64) / self.width, 0, self.highest_bin(extend_bins)).astype(np.int64)


def null_distributions(values: Floats, signs: tuple[int, ...], n_bins: int, longest: int) -> list[NullDistribution]:
    """Build the null of each sign from the values themselves.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n, length)
        At least one value, finite, float32 or float64, C-contiguous.
    signs : tuple of int
        Each 1 or -1.
    n_bins, longest : int
        The number of bins, and the longest span that needs a tail.

    Returns
    -------
    list of NullDistribution
        One for each sign; empty if all values are equal, since then no sum is rare.

    Raises
    ------
    InputError
        If the range of the values overflows their type.
    """
    low, high = minimum_and_maximum(values)
    with np.errstate(over="ignore"):
        spread = float(high - low)
    if not np.isfinite(spread):
        raise InputError(
            f"Attributions range from {low} to {high}, a range that overflows {values.dtype}: "
            "divide them by a constant, which changes no call."
        )
    width = spread / (n_bins - 1)
    if width == 0:
        return []
    origins = {1: float(low), -1: float(high)}
    bins_only = [NullDistribution(sign, origins[sign], width, n_bins, longest, np.empty(0)) for sign in signs]
    tails = _tails(np.stack([_frequencies(values, null) for null in bins_only]), longest)
    return [replace(null, tails=row) for null, row in zip(bins_only, tails, strict=True)]


def _frequencies(values: Floats, null: NullDistribution) -> NDArray[np.float64]:
    """Return the share of all values in each bin."""
    native = library()
    parts: list[NDArray[np.int64]] = []

    def count(first: int, last: int) -> None:
        if native is None:
            rows = np.array_split(values[first:last], max(1, (last - first) * values.shape[1] >> 20))
            parts.extend(np.bincount(null.bins(block).ravel(), minlength=null.n_bins) for block in rows)
            return
        counts = np.zeros((2, null.n_bins), dtype=np.int64)
        edges = first * values.shape[1], last * values.shape[1]
        native.span_counts(pointer(values), *edges, ctypes.byref(null.binning(values)), pointer(counts))
        parts.extend(counts)

    over_rows(count, len(values))
    counts: NDArray[np.int64] = np.sum(parts, axis=0)
    return counts / values.size


def _tails(frequencies: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Return the tails of sums of 1 to `longest` bins, one row for each row of frequencies."""
    n_bins = frequencies.shape[1]
    tails = np.empty((len(frequencies), longest * (longest + 1) // 2 * (n_bins - 1) + longest))
    native = library()

    def build(first: int, last: int) -> None:
        for row in range(first, last):
            if native is None:
                tails[row] = _convolved_tails(frequencies[row], longest)
                continue
            if native.span_tails(pointer(frequencies[row]), n_bins, longest, pointer(tails[row])):
                raise MemoryError("no memory for the tails of sums")

    over_rows(build, len(tails))
    return tails


def _convolved_tails(frequency: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Return the tails by direct convolution: a Fourier transform would lose every tail below 1e-16."""
    mass, tails = frequency, []
    for span in range(1, longest + 1):
        if span > 1:
            wider = np.zeros(len(mass) + len(frequency) - 1)
            # From the highest bin down, like the compiled loop, so that all bits agree.
            for bin_ in np.flatnonzero(frequency)[::-1]:
                wider[bin_ : bin_ + len(mass)] += frequency[bin_] * mass
            mass = wider
        tails.append(np.cumsum(mass[::-1])[::-1])
    return np.concatenate(tails)
