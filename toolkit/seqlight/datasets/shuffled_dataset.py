"""The rows of another dataset with their characters shuffled: a control, in which every seqlet is a false one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.attribution.references import dinucleotide_shuffles
from seqlight.datasets.array_dataset import ArrayDataset
from seqlight.datasets.batched_dataset import Batch, BatchedDataset
from seqlight.errors import InputError, kind_of
from seqlight.files.digests import digest
from seqlight.sequence.checks import require_count
from seqlight.sequence.random_streams import LARGEST_SEED


class ShuffledDataset(BatchedDataset):
    """Dinucleotide shuffles of the sequences of a dataset, as ``shuffled_control`` draws them.

    Row ``i * n + k`` is shuffle k of sequence i, drawn with the seed ``random_state + k``; unknown characters stay in
    place. What a row has beside its sequence is as in the dataset. Rows have no loci, since they are from nowhere.

    Parameters
    ----------
    data : dataset of seqlight, torch.Tensor, numpy.ndarray, or tuple of these arrays
        One-hot sequences, of shape (sequences, letters, positions), first of several.
    n : int
        Shuffles of each sequence.
    random_state : int
        The seed of the first shuffle.

    Raises
    ------
    InputError
        If the data cannot be shuffled so, or an argument cannot be used.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight.datasets import ShuffledDataset
    >>> X = sl.random_one_hot((2, 4, 20), random_state=0)
    >>> shuffled = ShuffledDataset(X, n=3)
    >>> len(shuffled), sl.characters(X[0]), sl.characters(shuffled[1])
    (6, 'ATCATTTTCTCGATGAAAGC', 'ATTCATTCTCGAATTGAAGC')
    """

    def __init__(self, data: Any, n: int = 1, random_state: int = 0) -> None:
        self.n = require_count(n, "n", least=1)
        self.random_state = require_count(random_state, "random_state")
        if self.random_state + self.n - 1 > LARGEST_SEED:
            raise InputError(
                f"random_state is {random_state}: expected at most {LARGEST_SEED - n + 1} for {n} shuffles."
            )
        if isinstance(data, tuple) and 1 <= len(data) <= 2:
            data = ArrayDataset(*data)
        elif isinstance(data, Tensor | np.ndarray):
            data = ArrayDataset(data)
        if not isinstance(data, BatchedDataset):
            raise InputError(f"data is {kind_of(data)}: expected one or two arrays, or a dataset of seqlight.")
        self._data = data

    def __len__(self) -> int:
        return len(self._data) * self.n

    def read(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
        """Return the shuffles of these rows."""
        source, shuffle = np.divmod(rows, self.n)
        found = self._data.read(source, epochs)
        X, *more = (found,) if isinstance(found, Tensor) else found
        out = torch.empty_like(X)
        for k in np.unique(shuffle).tolist():
            mine = torch.from_numpy(np.flatnonzero(shuffle == k))
            out[mine] = dinucleotide_shuffles(X[mine], 1, self.random_state + k)[:, 0]
        return (out, *more) if more else out

    def fingerprint(self) -> str:
        """Return a digest of the dataset and of how it is shuffled."""
        return digest("dinucleotide_shuffle", self.n, self.random_state, self._data.fingerprint())

    def __repr__(self) -> str:
        return f"ShuffledDataset({self._data!r}, n={self.n}, random_state={self.random_state})"
