"""Collect the rows of a shard, batch by batch, in memory that is allocated once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.results.shards import Arrays


class ShardBuffer:
    """The arrays of consecutive rows, which arrive in any order.

    Parameters
    ----------
    rows : range
        The rows of the shard.

    Examples
    --------
    >>> import numpy as np
    >>> shard = ShardBuffer(range(10, 13))
    >>> shard.add(np.array([12, 10]), {"y": np.array([2.0, 0.0])})
    >>> shard.full
    False
    >>> shard.add(np.array([11]), {"y": np.array([1.0])})
    >>> shard.full, shard.arrays["y"].tolist()
    (True, [0.0, 1.0, 2.0])
    """

    def __init__(self, rows: range) -> None:
        self.rows, self.arrays = rows, Arrays()
        self._there, self._count = np.zeros(len(rows), dtype=bool), 0

    def add(self, ids: NDArray[np.int64], arrays: Arrays) -> None:
        """Add some rows; InputError if one is there already, or its arrays differ from those of earlier rows."""
        places = ids - self.rows.start
        if not self.arrays:
            self.arrays = {name: np.empty((len(self.rows), *one.shape[1:]), one.dtype) for name, one in arrays.items()}
        _require_like(self.arrays, arrays, len(ids))
        for name, one in arrays.items():
            self.arrays[name][places] = one
        self._there[places] = True
        self._count += len(places)
        if np.count_nonzero(self._there) < self._count:
            raise InputError(f"a row among {ids.min()} to {ids.max()} came twice: expected every row once.")

    @property
    def full(self) -> bool:
        """Whether all rows are there."""
        return self._count == len(self.rows)


def _require_like(first: Arrays, arrays: Arrays, rows: int) -> None:
    if first.keys() != arrays.keys():
        raise InputError(f"a batch has {', '.join(arrays)} and one before {', '.join(first)}: expected the same.")
    for name, one in arrays.items():
        wanted: tuple[Any, ...] = (rows, *first[name].shape[1:])
        if one.shape != wanted or one.dtype != first[name].dtype:
            raise InputError(
                f"{name} of a batch of {rows} rows has shape {one.shape} {one.dtype}: expected {wanted} "
                f"{first[name].dtype}, a row for each and all of one shape; use `func` to make it so."
            )
