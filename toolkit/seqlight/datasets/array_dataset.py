"""A dataset of the rows of tensors, NumPy arrays, or npy and npz files."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.datasets.batched_dataset import Batch, BatchedDataset
from seqlight.datasets.stored_array import StoredArray
from seqlight.errors import InputError
from seqlight.files.digests import digest
from seqlight.files.source_types import ArraySource
from seqlight.sequence.loci import Loci, as_loci


class ArrayDataset(BatchedDataset):
    """The rows of one array, or of two.

    An item is `X`, or `(X, y)`, with the dtypes of the arrays. Files are mapped into memory: only the requested rows
    are read.

    Parameters
    ----------
    X : torch.Tensor, numpy.ndarray, or path of an npy or npz file
        Usually one-hot, of shape (sequences, letters, positions). From an npz file with several arrays the one named
        "X" is taken.
    y : the same, optional
        With the same number of rows. From an npz file with several arrays the one named "y" is taken.
    loci : Loci or pandas.DataFrame, optional
        Where in a genome the rows were cut from.

    Raises
    ------
    InputError
        If the arrays have different numbers of rows, or a file cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from seqlight import random_one_hot
    >>> from seqlight.datasets import ArrayDataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "data.npz"
    ...     np.savez(path, X=random_one_hot((3, 4, 20), random_state=0), y=[0.0, 1.0, 2.0])
    ...     X, y = ArrayDataset(path, path)[2]
    >>> X.shape, float(y)
    (torch.Size([4, 20]), 2.0)
    """

    def __init__(self, X: ArraySource, y: ArraySource | None = None, loci: Loci | pd.DataFrame | None = None) -> None:
        self._arrays = [StoredArray("X", X)] if y is None else [StoredArray("X", X), StoredArray("y", y)]
        if len({len(array) for array in self._arrays}) > 1:
            raise InputError(f"X has {len(self._arrays[0])} rows and y {len(self._arrays[1])}: expected as many.")
        self.loci = None if loci is None else as_loci(loci, n=len(self))

    def __len__(self) -> int:
        return len(self._arrays[0])

    def read(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
        """Return copies of the rows."""
        found = [array.rows(rows) for array in self._arrays]
        return found[0] if len(found) == 1 else tuple(found)

    def fingerprint(self) -> str:
        """Return a digest of the arrays, wherever they are stored; see `digest`."""
        return digest(*(array.content() for array in self._arrays), *(self.loci or ()))

    def __repr__(self) -> str:
        return f"ArrayDataset({', '.join(f'{array.name} {array.shape}' for array in self._arrays)})"
