"""The base class of datasets that read a whole batch at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seqlight.errors import InputError
from seqlight.sequence.checks import require_count
from seqlight.sequence.loci import Loci

Batch = Tensor | tuple[Tensor, ...]


class BatchedDataset(Dataset[Any], ABC):
    """A map-style Dataset of tensors whose rows are read many at a time.

    An item is `X`, or a tuple `(X, y)`. ``dataset[row]`` is a row in the current epoch, and ``dataset[row, epoch]``
    the same row in another one: these differ only if the dataset augments. ``dataset[:100]`` are many rows, as `batch`
    returns them. A `DataLoader` finds ``__getitems__``, and so reads batches.

    A subclass defines ``__len__``, `read` and `fingerprint`.
    """

    #: The loci of all rows, if they are windows of a genome.
    loci: Loci | None = None
    #: What all rows are called, if they have names.
    row_names: tuple[str, ...] | None = None
    #: Whether a row depends on the epoch.
    augments: bool = False
    #: The epoch of rows that are requested without one.
    epoch: int = 0

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
        """Return rows, each in its epoch, as one tensor or a tuple of tensors; all row numbers are valid."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a digest of content and settings, independent of paths."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of rows requested without one; workers that already run need `TrainingOrder` instead."""
        self.epoch = require_count(epoch, "epoch")

    def batch(self, rows: Any) -> Batch:
        """Return many rows at once.

        Parameters
        ----------
        rows : sequence of int, or of pairs of row and epoch
            Negative row numbers count from the end.

        Returns
        -------
        torch.Tensor of shape (rows, ...), or tuple of such tensors
        """
        pairs = np.asarray(rows, dtype=np.int64)
        if pairs.ndim == 2 and pairs.shape[1] == 2:
            numbers, epochs = pairs[:, 0], pairs[:, 1]
        elif pairs.ndim == 1:
            numbers, epochs = pairs, np.full(len(pairs), self.epoch, np.int64)
        else:
            raise InputError(f"rows has shape {pairs.shape}: expected rows, or pairs of row and epoch.")
        n = len(self)
        if len(numbers) and (numbers.min() < -n or numbers.max() >= n):
            raise IndexError(f"row {numbers[(numbers < -n) | (numbers >= n)][0]} of {n}")
        return self.read(np.where(numbers < 0, numbers + n, numbers), epochs)

    def __getitem__(self, row: Any) -> Batch:
        if isinstance(row, slice):
            return self.batch(range(len(self))[row])
        found = self.batch([row])
        return found[0] if isinstance(found, Tensor) else tuple(one[0] for one in found)

    def __getitems__(self, rows: Any) -> list[Batch]:
        found = self.batch(rows)
        if isinstance(found, Tensor):
            return list(found.unbind(0))
        return list(zip(*(one.unbind(0) for one in found), strict=True))
