"""Tomtom: how unlikely it is that a piece of sequence resembles a known motif this closely by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Scores are rounded to this many steps, the `t` of the paper.
BINS = 100
UNKNOWN = 4  # a column of zeros, beside the four letters
LETTERS = np.eye(4, UNKNOWN + 1)
# How many numbers of distributions are cached for the next pieces: 64 MB.
CACHE_SIZE = 2**23

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Comparison(NamedTuple):
    """Pieces of sequence against motifs, each array of shape (pieces, motifs).

    Attributes
    ----------
    p_value : numpy.ndarray, float64
        Of the best alignment, on either strand.
    offset : numpy.ndarray, int64
        The position of the motif at which the piece begins, counted from 0 and possibly negative.
    reverse : numpy.ndarray, bool
        Whether it is the motif's reverse complement that aligns best.
    """

    p_value: Floats
    offset: Integers
    reverse: NDArray[np.bool_]


def compare(pieces: Sequence[Integers], motifs: Sequence[Floats], columns: Floats = LETTERS) -> Comparison:
    """Align each piece of sequence with each motif, and compute how often chance aligns them as well.

    Parameters
    ----------
    pieces : sequence of numpy.ndarray of int, shape (positions,)
        Letters as 0 to 3 for A, C, G and T, and 4 for an unknown one; or numbers of `columns`.
    motifs : sequence of numpy.ndarray of float, shape (4, positions)
        Frequencies.
    columns : numpy.ndarray of float, shape (4, any), optional
        What pieces are made of: by default letters, and a column of zeros; for a motif as a piece, its columns.

    Returns
    -------
    Comparison

    Notes
    -----
    Columns are compared by their Euclidean distance, shifted so that the lower median over the columns of all motifs
    is 0, which is also the score of a column without a partner ("complete scores"). Under the null, each column of the
    motif is drawn from the columns of all motifs, on both strands. Medians, columns and tails are exact: small p-values
    keep their digits.

    References
    ----------
    Gupta, Stamatoyannopoulos, Bailey and Noble (2007), Quantifying similarity between motifs, Genome Biology 8:R24.
    Tanaka, Bailey, Grant, Noble and Keich (2011), Improved similarity scores for comparing motifs, Bioinformatics 27.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> motifs = [rng.dirichlet([0.1] * 4, size=8).T for _ in range(50)]
    >>> best = motifs[7].argmax(axis=0)  # its consensus
    >>> found = compare([best], motifs)
    >>> int(found.p_value.argmin()), int(found.offset[0, 7]), bool(found.reverse[0, 7])
    (7, 0, False)
    """
    database = _Database(motifs, columns)
    shape = len(pieces), len(motifs)
    found = Comparison(np.empty(shape), np.empty(shape, np.int64), np.empty(shape, np.bool_))
    for group, alignments in _groups(pieces, database):
        for i in group:
            for values, value in zip(found, alignments.best(pieces[i]), strict=True):
                values[i] = value
    return found


def _groups(pieces: Sequence[Integers], database: _Database) -> Iterator[tuple[list[int], _Alignments]]:
    """Yield the indices of pieces that share a length and a scale, and their alignments with the motifs."""
    groups: dict[tuple[int, tuple[int, int]], list[int]] = {}
    for i, piece in enumerate(pieces):
        groups.setdefault((len(piece), database.scale(piece)), []).append(i)
    nulls = {scale: _Null(database.scores, *scale) for _, scale in groups}
    for (length, scale), group in sorted(groups.items()):
        yield group, _Alignments(database, nulls[scale], length)


class _Database:
    """The scores of each letter with the columns of all motifs, followed by those of their reverse complements."""

    def __init__(self, motifs: Sequence[Floats], letters: Floats) -> None:
        both = [*motifs, *(motif[::-1, ::-1] for motif in motifs)]
        self.lengths = np.array([motif.shape[1] for motif in both])
        columns = np.concatenate(both, axis=1)
        scores = -np.sqrt(((letters[:, :, None] - columns[:, None]) ** 2).sum(axis=0))
        self.scores: Floats = scores - np.quantile(scores, 0.5, axis=1, keepdims=True, method="inverted_cdf")
        self._ranges = self.scores.min(axis=1), self.scores.max(axis=1)

    def scale(self, piece: Integers) -> tuple[int, int]:
        """Return the smallest score of a piece's letters, rounded down, and how many steps make a score of 1."""
        low, high = (one[piece] for one in self._ranges)
        smallest = int(np.floor(low.min()))
        return smallest, int(BINS / max(high.max() - smallest, 1))


class _Null:
    """The distribution of the scores of letters over the columns of all motifs, in whole steps.

    Attributes
    ----------
    steps : numpy.ndarray of int, shape (letters, columns)
        The score of each letter with each column, from 0 for the smallest.
    zero : int
        The number of steps in a score of 0.
    """

    def __init__(self, scores: Floats, smallest: int, scale: int) -> None:
        self.steps = np.floor((scores - smallest) * scale + 0.5).astype(np.int64).clip(0, BINS)
        self.zero = -smallest * scale
        self._single = [np.bincount(row, minlength=BINS + 1) / len(row) for row in self.steps]
        self._sums: dict[tuple[int, ...], Floats] = {}
        self._log_below: dict[tuple[int, ...], Floats] = {}
        self._n_cached = 0

    def log_below(self, letters: Integers) -> Floats:
        """Return the logarithm of the probability that letters together score less than 0, 1, ... steps."""
        key = tuple(sorted(letters.tolist()))  # a sum does not depend on the order
        found = self._log_below.get(key)
        if found is None:
            # Tails are summed from the end, so that small ones are exact.
            tails = np.minimum(np.cumsum(self._sum(key)[::-1])[::-1], 1)
            with np.errstate(divide="ignore"):
                found = np.log1p(-tails)
            self._cache(self._log_below, key, found)
        return found

    def _sum(self, key: tuple[int, ...]) -> Floats:
        found = self._sums.get(key)
        if found is None:
            *others, last = key
            found = np.convolve(self._sum(tuple(others)), self._single[last]) if others else self._single[last]
            self._cache(self._sums, key, found)
        return found

    def _cache(self, cache: dict[tuple[int, ...], Floats], key: tuple[int, ...], found: Floats) -> None:
        self._n_cached += len(found)
        if self._n_cached > CACHE_SIZE:
            self._sums.clear()
            self._log_below.clear()
            self._n_cached = len(found)
        cache[key] = found


class _Alignments:
    """All alignments of a piece of one length with each motif that share at least one column."""

    def __init__(self, database: _Database, null: _Null, length: int) -> None:
        self.null, self.length, self.lengths = null, length, database.lengths
        # Motifs are laid end to end with gaps between them, so that a piece overlaps only one at a time.
        gap = length - 1
        segments = self.lengths + gap
        self.starts = np.cumsum(segments) - segments
        motif = np.repeat(np.arange(len(self.lengths)), self.lengths)
        column = np.arange(len(motif)) + gap * (motif + 1)
        self.above = np.zeros((len(null.steps), int(segments.sum()) + gap), dtype=np.int64)
        self.above[:, column] = null.steps - null.zero
        place = np.arange(int(segments.sum())) - np.repeat(self.starts, segments)
        size = np.repeat(self.lengths, segments)
        overlap = np.minimum(place + 1, length) - np.maximum(0, place + 1 - size)
        # Of equal scores the larger overlap wins, then the first.
        self.places = int(segments.max())
        self.rank = overlap * self.places + (self.places - 1 - place)
        self.ranks = length * self.places + self.places
        self.kinds, self.kind = np.unique(self.lengths, return_inverse=True)

    def best(self, piece: Integers) -> tuple[Floats, Integers, NDArray[np.bool_]]:
        """Return p-value, offset and strand of the best alignment with each motif."""
        total = len(self.rank)
        score = self.above[piece[0], :total].copy()
        for i in range(1, self.length):
            score += self.above[piece[i], i : i + total]
        found = np.maximum.reduceat(score * self.ranks + self.rank, self.starts)
        score, rank = np.divmod(found, self.ranks)
        score += self.length * self.null.zero
        place = self.places - 1 - rank % self.places
        p_value = self._p_values(piece)[self.kind, np.maximum(score, 0)].reshape(2, -1).min(axis=0)
        # The first half of the motifs is forward, the second half are their reverse complements.
        (score, other_score), (place, other_place) = np.split(score, 2), np.split(place, 2)
        reverse = other_score > score
        offset = np.where(reverse, other_place, place) - (self.length - 1)
        # The better one of two strands.
        return p_value * (2 - p_value), offset, reverse

    def _p_values(self, piece: Integers) -> Floats:
        """Return the probability that the best alignment with a motif scores at least 0, 1, ..., by length of motif."""
        n, rows = self.length, np.empty((len(self.kinds), self.length * max(BINS, self.null.zero) + 1))
        overhang = np.zeros(rows.shape[1])  # alignments that extend beyond an end
        for overlap in range(1, n + 1):
            for row in np.flatnonzero(self.kinds == overlap) if overlap < n else np.flatnonzero(self.kinds >= n):
                rows[row] = overhang
                repeats = max(int(self.kinds[row]) - n + 1, 1)
                for first in range(n - overlap + 1):
                    self._add(rows[row], piece[first : first + overlap], repeats)
            if overlap < n:
                self._add(overhang, piece[:overlap], 1)
                self._add(overhang, piece[n - overlap :], 1)
        # The complement of all alignments scoring less.
        return -np.expm1(rows)

    def _add(self, row: Floats, aligned: Integers, times: int) -> None:
        shift = (self.length - len(aligned)) * self.null.zero
        below = self.null.log_below(aligned)
        row[:shift] = -np.inf
        row[shift : shift + len(below)] += times * below if times > 1 else below
