"""Edits of one-hot sequences: substitute, insert, delete."""

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
    """Overwrite part of each sequence with a motif.

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
    return _overwrite(X, [_read_motif(motif, X, alphabet, ignore)], [], start)


def multisubstitute(
    X: Tensor,
    motifs: Sequence[Motif],
    spacing: int | Sequence[int],
    start: int | None = None,
    alphabet: Sequence[str] = DNA,
    ignore: Sequence[str] = ("N",),
) -> Tensor:
    """Overwrite parts of each sequence with several motifs, at given distances.

    Parameters
    ----------
    X, alphabet, ignore
        As in :func:`substitute`.
    motifs : sequence of str or torch.Tensor
        In order from left to right, each as in :func:`substitute`.
    spacing : int or sequence of int
        Positions left unchanged between neighbouring motifs: one number for all, or one for each pair.
    start : int, optional
        Where the first motif begins; None centers all of them together.

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
        found = "an empty list" if isinstance(motifs, list | tuple) else f"a {type(motifs).__name__}"
        raise InputError(f"motifs is {found}: expected a list of at least one motif; for one motif use substitute.")
    columns = [_read_motif(motif, X, alphabet, ignore) for motif in motifs]
    return _overwrite(X, columns, _read_spacing(spacing, len(columns) - 1), start)


def insert(
    X: Tensor,
    motif: Motif,
    start: int | None = None,
    alphabet: Sequence[str] = DNA,
    ignore: Sequence[str] = ("N",),
) -> Tensor:
    """Insert a motif into each sequence, which grows by the motif's width.

    Parameters
    ----------
    X, motif, alphabet, ignore
        As in :func:`substitute`.
    start : int, optional
        The position before which to insert the motif, 0 to the length; None for the middle.

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
    first = _first_position(start, X.shape[2], 0)
    return torch.cat([X[:, :, :first], columns, X[:, :, first:]], dim=2)


def delete(X: Tensor, start: int, end: int) -> Tensor:
    """Delete a region of each sequence, which shrinks by the region's width.

    Parameters
    ----------
    X
        As in :func:`substitute`.
    start, end : int
        The region, ``start <= position < end``.

    Returns
    -------
    torch.Tensor, shape (sequences, letters, positions - (end - start)), dtype and device of `X`

    Raises
    ------
    InputError
        If `X` is not one-hot, or the region is empty, is off the end, or is the whole sequence.

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


def _overwrite(X: Tensor, motifs: Sequence[Tensor], gaps: Sequence[int], start: int | None) -> Tensor:
    """Return a copy of `X` with motifs (1 or sequences, letters, width) written into it, `gaps` positions apart."""
    width = sum(motif.shape[2] for motif in motifs) + sum(gaps)
    first = _first_position(start, X.shape[2], width)
    out = X.clone()
    for motif, gap in zip(motifs, [*gaps, 0], strict=True):
        out[:, :, first : first + motif.shape[2]] = motif
        first += motif.shape[2] + gap
    return out


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


def _first_position(start: int | None, length: int, width: int) -> int:
    first = length // 2 - width // 2 if start is None else checks.require_count(start, "start")
    if first < 0 or first + width > length:
        raise InputError(
            f"{width} characters from position {first} run off the end of sequences of {length}: "
            "expected them to fit; choose another start or a longer sequence."
        )
    return first
