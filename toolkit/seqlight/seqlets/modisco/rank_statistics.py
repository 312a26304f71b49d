"""Order statistics of very many numbers, without sorting them.

Numbers are counted in buckets by sign, exponent and leading bits, which suits any scale. The number of a given rank is
then found among those of a single bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlight.native.library import library, pointer
from seqlight.native.threads import over_rows

# As in modisco_seqlets.c.
DROPPED_BITS = 45
BUCKETS_A_SIGN = 1 << 18

VALUES_A_BLOCK = 1 << 20


def buckets(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bucket of each number; larger numbers are never in a lower bucket."""
    size = np.abs(values).view(np.int64) >> DROPPED_BITS
    return np.where(values < 0, BUCKETS_A_SIGN - 1 - size, BUCKETS_A_SIGN + size)


@dataclass(frozen=True)
class Ranking:
    """The order of numbers, or of their magnitudes, without sorting them.

    Attributes
    ----------
    values : numpy.ndarray, shape=(n,)
        At least one, finite, float64, C-contiguous.
    occupied, counts : numpy.ndarray, shape=(n_occupied,)
        The nonempty buckets, ascending, and the number of values in each.
    of_magnitudes : bool
        Whether the magnitudes are ordered, rather than the values.

    Examples
    --------
    >>> import numpy as np
    >>> ranking = rank(np.array([4.0, -7.0, 1.0]))
    >>> ranking.at([0, 2]), ranking.below([4.0]), ranking.magnitudes().at([2])
    (array([-7.,  4.]), array([2]), array([7.]))
    """

    values: NDArray[np.float64]
    occupied: NDArray[np.int64]
    counts: NDArray[np.int64]
    of_magnitudes: bool = False

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return float(self.values.min()), float(self.values.max())

    @cached_property
    def _first_ranks(self) -> NDArray[np.int64]:
        """The rank of the first value in each occupied bucket, and at the end the number of values."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    def magnitudes(self) -> Ranking:
        """Return the ranking of the magnitudes of the same values."""
        size = np.maximum(self.occupied, 2 * BUCKETS_A_SIGN - 1 - self.occupied)
        occupied, slot = np.unique(size, return_inverse=True)
        counts = np.zeros(len(occupied), dtype=np.int64)
        np.add.at(counts, slot, self.counts)
        return Ranking(self.values, occupied, counts, of_magnitudes=True)

    def at(self, ranks: ArrayLike) -> NDArray[np.float64]:
        """Return the numbers of these ranks, counted from 0 for the smallest."""
        ranks = np.asarray(ranks, dtype=np.int64)
        slot = np.searchsorted(self._first_ranks, ranks, side="right") - 1
        found, first = self._members(slot)
        at_ranks: NDArray[np.float64] = found[first + ranks - self._first_ranks[slot]]
        return at_ranks

    def below(self, limits: ArrayLike) -> NDArray[np.int64]:
        """Return how many numbers are smaller than each limit."""
        limits = np.asarray(limits, dtype=np.float64)
        slot = np.searchsorted(self.occupied, buckets(limits)).clip(max=len(self.occupied) - 1)
        found, first = self._members(slot)
        smaller: NDArray[np.int64] = self._first_ranks[slot] + np.searchsorted(found, limits) - first
        return smaller

    def _members(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the sorted numbers in the occupied buckets at `slots`, and where each bucket begins among them."""
        kept, index = np.unique(slots, return_inverse=True)
        wanted = np.zeros(2 * BUCKETS_A_SIGN, dtype=np.uint8)
        wanted[self.occupied[kept]] = 1
        if self.of_magnitudes:
            wanted[:BUCKETS_A_SIGN] = wanted[: BUCKETS_A_SIGN - 1 : -1]
        found = values_in_buckets(self.values, wanted)
        first = np.concatenate([[0], np.cumsum(self.counts[kept])])[index].reshape(slots.shape)
        return np.sort(np.abs(found) if self.of_magnitudes else found), first


def rank(values: NDArray[np.float64]) -> Ranking:
    """Rank numbers.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n,)
        At least one, finite, float64, C-contiguous.

    Returns
    -------
    Ranking
        It refers to `values` without copying them.
    """
    native = library()
    parts: list[NDArray[np.int64]] = []

    def count(first: int, last: int) -> None:
        counts = np.zeros(2 * BUCKETS_A_SIGN, dtype=np.int64)
        parts.append(counts)
        if native is not None:
            native.bucket_counts(pointer(values), first, last, pointer(counts))
            return
        for at in range(first, last, VALUES_A_BLOCK):
            block = values[at : min(at + VALUES_A_BLOCK, last)]
            counts += np.bincount(buckets(block), minlength=len(counts))

    over_rows(count, len(values), len(values))
    counts = sum(parts[1:], start=parts[0])
    occupied = np.flatnonzero(counts)
    return Ranking(values, occupied, counts[occupied])


def values_in_buckets(values: NDArray[np.float64], wanted: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the numbers in wanted buckets, in their original order; ``wanted`` has one flag for each bucket."""
    native = library()
    parts: dict[int, NDArray[np.float64]] = {}

    def collect(first: int, last: int) -> None:
        for at in range(first, last, VALUES_A_BLOCK):
            stop = min(at + VALUES_A_BLOCK, last)
            if native is None:
                block = values[at:stop]
                parts[at] = block[wanted[buckets(block)] > 0]
                continue
            found = np.empty(stop - at)
            n = native.bucket_members(pointer(values), at, stop, pointer(wanted), pointer(found))
            parts[at] = found[:n].copy()

    over_rows(collect, len(values), len(values))
    return np.concatenate([parts[at] for at in sorted(parts)])
