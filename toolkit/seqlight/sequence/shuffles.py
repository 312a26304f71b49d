"""Randomized sequences: random characters in a region, or the same ones in another order.

The printed results of the tutorials fix the draws: streams of ``numpy.random.RandomState``, in the order that each
function states.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, ShuffleWarning
from seqlight.sequence import checks, native_loops, random_streams
from seqlight.sequence.one_hot import cumulative_probabilities
from seqlight.sequence.random_streams import RandomSource


def randomize(
    X: Tensor,
    start: int,
    end: int | None,
    probs: Any = None,
    n: int = 1,
    random_state: RandomSource = None,
) -> Tensor:
    """Replace a region by random characters, `n` times.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot. Unknown characters (columns of zeros) stay unknown.
    start, end : int
        The region, ``start <= position < end``; None for the end of the sequence.
    probs : array-like, shape (letters,), (1, letters) or (sequences, letters), optional
        Probability of each letter; equal if None.
    n : int
        The number of results for each sequence.
    random_state : int or numpy.random.RandomState, optional
        One stream for the whole call, drawn by round, then sequence, then position. None for a fresh one.

    Returns
    -------
    torch.Tensor, shape (sequences, n, letters, positions), dtype and device of `X`

    Raises
    ------
    InputError
        If `X` is not one-hot, the region is off the end, or the probabilities do not sum to one.

    Examples
    --------
    >>> from seqlight import characters, random_one_hot, randomize
    >>> X = random_one_hot((1, 4, 20), random_state=0)
    >>> characters(randomize(X, start=0, end=5, random_state=0)[0, 0])
    'GGGGCTTTCTCGATGAAAGC'
    """
    X = checks.require_one_hot(X)
    rows, letters, length = X.shape
    start, end = checks.require_region(start, length if end is None else end, length)
    n = checks.require_count(n, "n", least=1)
    steps = cumulative_probabilities(np.full(letters, 1 / letters) if probs is None else probs, rows, letters)
    codes = native_loops.sample_codes(random_streams.random_state(random_state), steps, n, end - start)
    unknown = checks.to_codes(X)[:, start:end] == letters
    if unknown.any():
        codes[np.broadcast_to(unknown[:, None], codes.shape)] = letters
    out = _copies(X, n, start, end)
    native_loops.write_one_hot(codes.reshape(rows * n, -1), out.view(rows * n, letters, length), start)
    return out.to(X.device)


def shuffle(
    X: Tensor,
    start: int = 0,
    end: int | None = -1,
    n: int = 1,
    random_state: RandomSource = None,
) -> Tensor:
    """Put the positions of a region in another order, `n` times.

    Every sequence of the batch gets the same `n` orders. The composition of each is kept.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot. Unknown characters (columns of zeros) move like the others.
    start, end : int
        The region, ``start <= position < end``. A negative `end` counts back from one past the last position: -1,
        the default, and None both mean the whole rest of the sequence.
    n : int
        The number of results for each sequence.
    random_state : int or numpy.random.RandomState, optional
        One stream for the whole call, one permutation a round (Fisher-Yates from the end). None for a fresh one.

    Returns
    -------
    torch.Tensor, shape (sequences, n, letters, positions), dtype and device of `X`

    Raises
    ------
    InputError
        If `X` is not one-hot or the region is off the end.

    Examples
    --------
    >>> from seqlight import characters, random_one_hot, shuffle
    >>> X = random_one_hot((1, 4, 20), random_state=0)
    >>> characters(shuffle(X, random_state=0)[0, 0])
    'GTCCCATTTCTGTTAGAAAA'
    """
    X = checks.require_one_hot(X)
    length = X.shape[2]
    start, end = checks.require_region(start, _resolve_end(end, length + 1, length), length)
    n = checks.require_count(n, "n", least=1)
    stream = random_streams.random_state(random_state)
    orders = np.stack([stream.permutation(end - start) for _ in range(n)]).astype(np.uint32)
    out = _copies(X, n, start, end)
    native_loops.write_reordered(X.detach().cpu().contiguous(), orders, out, start)
    return out.to(X.device)


def dinucleotide_shuffle(
    X: Tensor,
    start: int = 0,
    end: int | None = -1,
    n: int = 20,
    random_state: int | Sequence[int] | None = None,
    verbose: bool = False,
    allow_N: bool = False,
) -> Tensor:
    """Shuffle a region `n` times, keeping how often each character follows each other one.

    For each character, the list of characters that follow it is shuffled, except for its last entry, and a walk
    through these lists spells the new sequence: a uniform draw from the arrangements that keep the last exit of
    every character [1]_. The first, the last and the last but one character stay in place. Each shuffle continues
    from the lists of the one before, so shuffle i is the same for any larger `n`.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    start, end : int
        The region, as a Python slice: the default ``end=-1`` leaves out the last position, and None means the whole
        rest of the sequence.
    n : int
        The number of results for each sequence.
    random_state : int or sequence of int, optional
        Sequence i is shuffled with the seed ``random_state + i``, or with ``random_state[i]``. None for a fresh
        one.
    verbose : bool
        Warn about the sequence with the most positions that are the same in all of its shuffles.
    allow_N : bool
        Accept unknown characters (columns of zeros) and shuffle them as one more letter.

    Returns
    -------
    torch.Tensor, shape (sequences, n, letters, positions), dtype and device of `X`

    Raises
    ------
    InputError
        If `X` is not one-hot, the region is off the end, or, for ``n > 1``, all shuffles of a sequence are the
        same.

    References
    ----------
    .. [1] Altschul, S. F. and Erickson, B. W. (1985), Significance of nucleotide sequence alignments,
       Molecular Biology and Evolution 2, 526-538.

    Examples
    --------
    >>> from seqlight import characters, dinucleotide_shuffle, random_one_hot
    >>> X = random_one_hot((1, 4, 20), random_state=0)
    >>> characters(dinucleotide_shuffle(X, random_state=0)[0, 0])
    'ATCATTTCTCGATTGAAAGC'
    """
    X = checks.require_rank_3(X)
    rows, letters, length = X.shape
    start, end = checks.require_region(start, _resolve_end(end, length, length), length)
    codes = np.ascontiguousarray(checks.to_codes(checks.require_one_hot(X))[:, start:end])
    if not allow_N and (codes == letters).any():
        checks.require_one_hot(X[:, :, start:end], f"X[:, :, {start}:{end}]", allow_unknown=False)
    n = checks.require_count(n, "n", least=1)
    out = _copies(X, n, start, end)
    n_fixed = native_loops.write_dinucleotide_shuffles(codes, _seeds(random_state, rows), out, start)
    _check_diversity(n_fixed, end - start, n, verbose)
    return out.to(X.device)


def _resolve_end(end: int | None, origin: int, length: int) -> int:
    """Return `end` as a position; a negative one counts back from `origin`."""
    if end is None:
        return length
    if not isinstance(end, int | np.integer) or end >= 0:
        return end
    if end < -origin:
        raise InputError(f"end is {end}, before the start of sequences of {length} positions: name a later one.")
    return origin + int(end)


def _copies(X: Tensor, n: int, start: int, end: int) -> Tensor:
    """Return `n` copies of each sequence on the CPU, uninitialised in the region."""
    rows, letters, length = X.shape
    out = torch.empty((rows, n, letters, length), dtype=X.dtype, device="cpu")
    # A random draw has no derivative, so the result carries no gradient.
    out[..., :start] = X.detach()[:, None, :, :start]
    out[..., end:] = X.detach()[:, None, :, end:]
    return out


def _seeds(random_state: int | Sequence[int] | None, rows: int) -> NDArray[np.uint32]:
    if isinstance(random_state, Sequence | np.ndarray) and not isinstance(random_state, str):
        if len(random_state) != rows:
            raise InputError(f"random_state has {len(random_state)} seeds for {rows} sequences: expected one each.")
        return np.array([random_streams.seed(one) for one in random_state], np.uint32)
    # A fresh seed is small enough to add the row number.
    first = random_streams.seed(random_state) if random_state is not None else random_streams.seed(None) // 2
    random_streams.seed(first + rows - 1)
    return np.arange(first, first + rows).astype(np.uint32)


def _check_diversity(n_fixed: NDArray[np.int64], span: int, n: int, verbose: bool) -> None:
    if verbose and (n_fixed > min(span, 2)).any():
        most = int(np.argmax(n_fixed))
        warnings.warn(
            "At least one position in dinucleotide shuffle is identical across all positions: "
            f"{n_fixed[most]} of {span} in sequence {most} stay the same, and three (the first, the last "
            "and the last but one) cannot move.",
            ShuffleWarning,
            stacklevel=3,
        )
    if n > 1 and (n_fixed == span).any():
        first = int(np.argmax(n_fixed == span))
        raise InputError(
            "All dinucleotide shuffles yield identical sequences, potentially due to a lack of diversity in "
            f"sequence {first}: shuffle a longer region, or use shuffle()."
        )
