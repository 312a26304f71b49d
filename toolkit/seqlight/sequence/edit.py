"""Edit one-hot sequences: substitute, insert, delete.

Every edit first reads the request (which motif, where) and then copies columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.sequence import checks
from seqlight.sequence.letters import DNA
from seqlight.sequence.one_hot import one_hot_encode

Motif = str | Tensor


def substitute(
    X: Tensor,
    motif: Motif,
    start: int | None = None,
    alphabet: Sequence[str] = DNA,
    ignore: Sequence[str] = ("N",),
) -> Tensor:
    """Write a motif over the characters of each sequence.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    motif : str, or torch.Tensor of shape (letters, width), (1, letters, width) or (sequences, letters, width)
        One motif for all sequences, or one for each.
    start : int, optional
        Where the motif begins; None puts it in the middle.
    alphabet, ignore : sequence of str
        How to read a motif given as a string.

    Returns
    -------
    torch.Tensor, shape of `X`, its dtype and device

    Raises
    ------
    InputError
        If `X` or the motif is not one-hot, or the motif runs off the end.

    Examples
    --------
    >>> from seqlight import characters, random_one_hot, substitute
    >>> X = random_one_hot((1, 4, 20), random_state=0)
    >>> characters(substitute(X, "TGACTCA")[0])
    'ATCATTTTGACTCAGAAAGC'
    """
    X = checks.require_one_hot(X)
    columns = _read_motif(motif, X, alphabet, ignore)
    begin = _begin(start, X.shape[2], columns.shape[2])
    out = X.clone()
    out[:, :, begin : begin + columns.shape[2]] = columns
    return out


def multisubstitute(
    X: Tensor,
    motifs: Sequence[Motif],
    spacing: int | Sequence[int],
    start: int | None = None,
    alphabet: Sequence[str] = DNA,
    ignore: Sequence[str] = ("N",),
) -> Tensor:
    """Write several motifs over each sequence, at given distances.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    motifs : sequence of str or torch.Tensor
        In order from left to right, each as in :func:`substitute`.
    spacing : int or sequence of int
        Positions left as they are between neighbours: one number for all, or one for each pair.
    start : int, optional
        Where the first motif begins; None puts the whole in the middle.
    alphabet, ignore : sequence of str
        How to read motifs given as strings.

    Returns
    -------
    torch.Tensor, shape of `X`, its dtype and device

    Raises
    ------
    InputError
        If there is no motif, a spacing is negative, or the motifs run off the end.

    Examples
    --------
    >>> from seqlight import characters, multisubstitute, random_one_hot
    >>> X = random_one_hot((1, 4, 20), random_state=0)
    >>> characters(multisubstitute(X, ["TGACTCA", "TGACTCA"], 2, start=2)[0])
    'ATTGACTCATCTGACTCAGC'
    """
    X = checks.require_one_hot(X)
    if isinstance(motifs, str) or not isinstance(motifs, Sequence) or not motifs:
        met = "an empty list" if isinstance(motifs, list | tuple) else f"a {type(motifs).__name__}"
        raise InputError(f"motifs is {met}: expected a list of at least one motif; for one motif use substitute.")
    columns = [_read_motif(motif, X, alphabet, ignore) for motif in motifs]
    gaps = _read_spacing(spacing, len(columns) - 1)
    width = sum(one.shape[2] for one in columns) + sum(gaps)
    begin = _begin(start, X.shape[2], width)
    out = X.clone()
    for one, gap in zip(columns, [*gaps, 0], strict=True):
        out[:, :, begin : begin + one.shape[2]] = one
        begin += one.shape[2] + gap
    return out


def insert(
    X: Tensor,
    motif: Motif,
    start: int | None = None,
    alphabet: Sequence[str] = DNA,
    ignore: Sequence[str] = ("N",),
) -> Tensor:
    """Put a motif between two characters of each sequence, which grows by the motif's width.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    motif : str or torch.Tensor
        As in :func:`substitute`.
    start : int, optional
        The position before which the motif goes, 0 to the length; None for the middle.
    alphabet, ignore : sequence of str
        How to read a motif given as a string.

    Returns
    -------
    torch.Tensor, shape (sequences, letters, positions + width), dtype and device of `X`

    Raises
    ------
    InputError
        If `X` or the motif is not one-hot, or `start` is off the end.

    Examples
    --------
    >>> from seqlight import characters, insert, random_one_hot
    >>> X = random_one_hot((1, 4, 20), random_state=0)
    >>> characters(insert(X, "TGACTCA")[0])
    'ATCATTTTCTTGACTCACGATGAAAGC'
    """
    X = checks.require_one_hot(X)
    columns = _read_motif(motif, X, alphabet, ignore).expand(X.shape[0], -1, -1)
    begin = _begin(start, X.shape[2], 0)
    return torch.cat([X[:, :, :begin], columns, X[:, :, begin:]], dim=2)


def delete(X: Tensor, start: int, end: int) -> Tensor:
    """Take a region out of each sequence, which shrinks by its width.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    start, end : int
        The region, ``start <= position < end``.

    Returns
    -------
    torch.Tensor, shape (sequences, letters, positions - (end - start)), dtype and device of `X`

    Raises
    ------
    InputError
        If `X` is not one-hot, or the region is empty, off the end, or the whole sequence.

    Examples
    --------
    >>> from seqlight import characters, delete, random_one_hot
    >>> X = random_one_hot((1, 4, 20), random_state=0)
    >>> characters(delete(X, start=10, end=15)[0])
    'ATCATTTTCTAAAGC'
    """
    X = checks.require_one_hot(X)
    start, end = checks.require_region(start, end, X.shape[2])
    if end - start == X.shape[2]:
        raise InputError(f"the region from {start} to {end} is the whole sequence: leave at least one position.")
    return torch.cat([X[:, :, :start], X[:, :, end:]], dim=2)


def _read_motif(motif: Motif, X: Tensor, alphabet: Sequence[str], ignore: Sequence[str]) -> Tensor:
    """Return the motif as one-hot columns (1 or sequences, letters, width) in the dtype and on the device of `X`."""
    if isinstance(motif, str):
        columns = one_hot_encode(motif, alphabet, X.dtype, ignore).unsqueeze(0).to(X.device)
    else:
        if isinstance(motif, Tensor) and motif.device != X.device:
            raise InputError(f"motif is on {motif.device} and X on {X.device}: move one with .to(device).")
        motif = checks.require_tensor(motif, "motif")
        columns = checks.require_one_hot(motif.unsqueeze(0) if motif.ndim == 2 else motif, "motif")
    if columns.shape[1] != X.shape[1]:
        raise InputError(f"the motif has {columns.shape[1]} letters and X {X.shape[1]}: expected as many.")
    if len(columns) not in (1, len(X)):
        raise InputError(f"there are {len(columns)} motifs for {len(X)} sequences: expected one for all, or one each.")
    return columns.to(X.dtype)


def _read_spacing(spacing: int | Sequence[int] | Tensor | NDArray[np.int64], n_gaps: int) -> list[int]:
    if isinstance(spacing, Tensor | np.ndarray):
        spacing = spacing.tolist()
    if isinstance(spacing, Sequence) and not isinstance(spacing, str):
        if len(spacing) != n_gaps:
            raise InputError(f"there are {len(spacing)} spacings for {n_gaps + 1} motifs: expected {n_gaps}.")
        return [checks.require_count(gap, "spacing") for gap in spacing]
    return [checks.require_count(spacing, "spacing")] * n_gaps


def _begin(start: int | None, length: int, width: int) -> int:
    begin = length // 2 - width // 2 if start is None else checks.require_count(start, "start")
    if begin < 0 or begin + width > length:
        raise InputError(
            f"{width} characters from position {begin} run off the end of sequences of {length}: "
            "expected them to fit; choose another start or a longer sequence."
        )
    return begin
