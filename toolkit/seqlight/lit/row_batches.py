"""Batches of numbered rows of a data set, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    SequentialSampler,
    default_collate,
)

from seqlight.errors import InputError, kind_of


class RowBatch(NamedTuple):
    """A batch of numbered rows.

    Attributes
    ----------
    ids : numpy.ndarray, int64, shape (rows,)
        The numbers of the rows in the data set. Not a tensor, which would be moved to the device.
    entries : torch.Tensor, or tuple or dict of them
        What the data set holds for each row.
    """

    ids: NDArray[np.int64]
    entries: Any


class NumberedRows(Dataset[RowBatch]):
    """A data set that is indexed with a range of rows, and returns a batch of them with their numbers.

    Parameters
    ----------
    data : torch.Tensor, numpy.ndarray, tuple of these, map-style Dataset or DataLoader of one
        Of a DataLoader, its Dataset and ``collate_fn`` are used.

    Raises
    ------
    InputError
        If its rows cannot be indexed by number, or the arrays do not have equally many.

    Examples
    --------
    >>> import torch
    >>> rows = NumberedRows((torch.arange(5), torch.zeros(5, 2)))
    >>> rows[range(2, 4)].ids.tolist(), rows[range(2, 4)].entries[0].tolist()
    ([2, 3], [2, 3])
    """

    def __init__(self, data: Any) -> None:
        self.collate = default_collate
        if isinstance(data, DataLoader):
            _require_in_order(data)
            data, self.collate = data.dataset, data.collate_fn
        if isinstance(data, str | Path):
            raise InputError(
                f"the data is {str(data)!r}: expected tensors or a Dataset; seqlight.datasets has some for files, such "
                "as GenomeDataset(genome, regions, window) and FastaDataset(path)."
            )
        if isinstance(data, list | tuple) and data and all(isinstance(one, str) for one in data):
            raise InputError(f"the data is {kind_of(data)} of strings: expected tensors; use one_hot_encode(data).")
        if isinstance(data, list):
            data = tuple(data)
        if isinstance(data, IterableDataset) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
            raise InputError(
                f"the data is {kind_of(data)}, whose rows cannot be indexed by number: "
                "expected tensors, or a Dataset with __getitem__ and __len__."
            )
        self.data = data
        self.arrays = data if isinstance(data, tuple) else (data,) if isinstance(data, Tensor | np.ndarray) else None
        if self.arrays is not None:
            _require_equal_lengths(self.arrays)

    def __len__(self) -> int:
        return len(self.data) if self.arrays is None else len(self.arrays[0])

    def __getitem__(self, ids: Sequence[int]) -> RowBatch:
        return RowBatch(np.asarray(ids, dtype=np.int64), self._entries(ids))

    def _entries(self, ids: Sequence[int]) -> Any:
        if self.arrays is not None:
            return tuple(_slice(one, slice(ids[0], ids[-1] + 1)) for one in self.arrays)
        if hasattr(self.data, "__getitems__"):
            return self.collate(self.data.__getitems__(list(ids)))
        return self.collate([self.data[i] for i in ids])


class ShardBatchSampler(DistributedSampler[Any]):
    """The batches of the shards that one process makes: ranges of rows that do not cross the end of a shard.

    Where a batch begins does not depend on the number of processes, so neither do the results. It is a
    DistributedSampler because a Trainer does not replace those.

    Examples
    --------
    >>> list(ShardBatchSampler(rows=7, shard_rows=4, batch_size=3, shards=[0, 1]))
    [range(0, 3), range(3, 4), range(4, 7)]
    """

    def __init__(self, rows: int, shard_rows: int, batch_size: int, shards: Sequence[int]) -> None:
        super().__init__(cast(Dataset[Any], range(rows)), num_replicas=1, rank=0, shuffle=False)
        self.n, self.shard_rows, self.batch_size, self.shards = rows, shard_rows, batch_size, shards

    def __iter__(self) -> Iterator[Any]:
        for shard in self.shards:
            last = min(self.n, (shard + 1) * self.shard_rows)
            for first in range(shard * self.shard_rows, last, self.batch_size):
                yield range(first, min(first + self.batch_size, last))

    def __len__(self) -> int:
        return sum(-(-self._length(shard) // self.batch_size) for shard in self.shards)

    def rows_to_do(self) -> int:
        """Return the number of rows in the shards."""
        return sum(map(self._length, self.shards))

    def _length(self, shard: int) -> int:
        return min(self.n, (shard + 1) * self.shard_rows) - shard * self.shard_rows


def model_inputs(batch: Any, n: int) -> list[Tensor]:
    """Return the first `n` tensors of a batch, which the model takes as inputs.

    Raises
    ------
    InputError
        If it has fewer.
    """
    entries = batch.entries if isinstance(batch, RowBatch) else batch
    if isinstance(entries, Tensor):
        entries = (entries,)
    if isinstance(entries, Mapping):
        raise InputError(
            f"a row of the data is a dict of {', '.join(map(repr, entries))}: expected a tensor, or a tuple that "
            "begins with what the model takes; wrap the Dataset in one that returns that."
        )
    found = list(entries[:n]) if isinstance(entries, tuple | list) else []
    if len(found) < n or not all(isinstance(one, Tensor) for one in found):
        raise InputError(f"a batch is {kind_of(entries)}: expected {n} tensors or more, with a row for each row.")
    return found


def keep_batch(batch: Any) -> Any:
    """Return a batch unchanged, as ``collate_fn`` of batches that are already collated."""
    return batch


def _slice(array: Tensor | NDArray[Any], rows: slice) -> Tensor:
    # A copy, since an array may be read-only, or a memory-mapped file.
    return array[rows] if isinstance(array, Tensor) else torch.from_numpy(np.array(array[rows]))


def _require_in_order(loader: DataLoader[Any]) -> None:
    if loader.batch_size is None or not isinstance(loader.sampler, SequentialSampler):
        raise InputError(
            f"the DataLoader draws its rows by {kind_of(loader.sampler)}: expected the rows of its Dataset in order; "
            "leave out shuffle and sampler, and choose rows with torch.utils.data.Subset."
        )


def _require_equal_lengths(arrays: tuple[Any, ...]) -> None:
    if not arrays or not all(isinstance(one, Tensor | np.ndarray) and one.ndim for one in arrays):
        raise InputError("the data is a tuple with something other than arrays of rows: expected tensors.")
    rows = [len(one) for one in arrays]
    if len(set(rows)) > 1:
        raise InputError(f"the arrays of the data have {rows} rows: expected equally many in each.")
