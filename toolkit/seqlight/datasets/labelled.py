"""Labelled sequences in three splits, with the intervals of the motifs that decide the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class MotifIntervals(NamedTuple):
    """Where the motifs of a split are, ``start <= position < end``: four int64 arrays of one length.

    Attributes
    ----------
    example_idx : numpy.ndarray
        The row of the split.
    start, end : numpy.ndarray
        The interval, in positions of the row.
    motif : numpy.ndarray
        The motif, as an index into `LabelledSequences.motif_names`.
    """

    example_idx: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    motif: NDArray[np.int64]


@dataclass(frozen=True)
class LabelledSplit:
    """Sequences with labels: first all positives, then all their first negatives, and so on.

    Attributes
    ----------
    X : torch.Tensor, int8, shape (rows, 4, positions)
        One-hot.
    y : torch.Tensor, float32, shape (rows,)
        1 for a positive, 0 for a negative.
    ids : torch.Tensor, int64, shape (rows,)
        The number, in the whole set, of the positive that the row is or was shuffled from.
    motifs : MotifIntervals
        The motifs of the positives.
    """

    X: Tensor
    y: Tensor
    ids: Tensor
    motifs: MotifIntervals


@dataclass(frozen=True)
class LabelledSequences:
    """A labelled set in three splits.

    Attributes
    ----------
    train, valid, test : LabelledSplit
        No positive is in two of them, and each negative is in the split of its positive.
    motif_names : tuple of str
        The motifs that the intervals refer to.
    provenance : str
        Where the sequences come from, as JSON.
    """

    train: LabelledSplit
    valid: LabelledSplit
    test: LabelledSplit
    motif_names: tuple[str, ...]
    provenance: str


def label(positives: Tensor, negatives: Tensor, ids: Tensor, motifs: MotifIntervals) -> LabelledSplit:
    """Join the positives of a split with their negatives.

    Parameters
    ----------
    positives : torch.Tensor, shape (positives, 4, positions)
        One-hot.
    negatives : torch.Tensor, shape (positives, shuffles, 4, positions)
        One-hot, one or more for each positive.
    ids : torch.Tensor, int64, shape (positives,)
        The number of each positive in the whole set.
    motifs : MotifIntervals
        The motifs, with `example_idx` a row of `positives`.

    Returns
    -------
    LabelledSplit
    """
    X = torch.cat([positives, *negatives.unbind(1)])
    y = torch.zeros(len(X), dtype=torch.float32)
    y[: len(positives)] = 1
    return LabelledSplit(X, y, ids.repeat(1 + negatives.shape[1]), motifs)
