"""One array of a run's results, spread over shards, of which only the requested rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError, ResultsError
from seqlight.results.manifest import Manifest

Rows = int | slice | NDArray[Any] | list[int] | str


class Column:
    """A lazy array over all rows, in order.

    It is indexed like a NumPy array: ``column[3]``, ``column[3:10]``, ``column[[5, 2]]``, ``column[mask]``,
    ``column[3:10, :, 100:200]``; and, if the rows are windows of a genome, by a locus: ``column["chr1:1000-2000"]`` are
    the rows that overlap it. The result is an array in memory. ``numpy.asarray(column)`` reads everything.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : numpy.dtype
    """

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        shard: Callable[[int], NDArray[Any]],
        like: NDArray[Any],
        rows_at: Callable[[str], NDArray[np.int64]],
        once: Callable[[int], NDArray[Any]] | None = None,
    ) -> None:
        self.name, self._manifest, self._read, self._rows_at = name, manifest, shard, rows_at
        self._read_once = once or shard  # a shard that nothing keeps mapped
        self.shape: tuple[int, ...] = (manifest.rows, *like.shape[1:])
        self.dtype = like.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions, rows included."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of all rows, in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Column {self.name!r}: {self.shape} {self.dtype}"

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for k in range(self._manifest.shards):
            yield from self.shard(k).copy()

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, tuple):
            return self._select(key)
        if not key or key[0] is Ellipsis or key[0] is None:
            return self.numpy()[key]
        found = self._select(key[0])
        leading = (slice(None),) * (found.ndim - self.ndim + 1)  # none for a single row
        return found[(*leading, *key[1:])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found = self.numpy()
        return found if dtype is None else found.astype(dtype, copy=False)

    def numpy(self) -> NDArray[Any]:
        """Return all rows."""
        return self._slice(range(len(self)))

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, one shard at a time, so that no more than one is in memory."""
        for k in range(self._manifest.shards):
            yield self._checked(k, self._read_once(k))

    def shard(self, k: int) -> NDArray[Any]:
        """Return the rows of one shard, mapped; ResultsError if their shape or dtype differs from other shards."""
        return self._checked(k, self._read(k))

    def _checked(self, k: int, found: NDArray[Any]) -> NDArray[Any]:
        rows = len(self._manifest.rows_of(k))
        if found.shape != (rows, *self.shape[1:]) or found.dtype != self.dtype:
            raise ResultsError(
                f"shard {k} has {self.name!r} of shape {found.shape} {found.dtype}: expected "
                f"{(rows, *self.shape[1:])} {self.dtype}; delete it and run again."
            )
        return found

    def _select(self, rows: Any) -> NDArray[Any]:
        if isinstance(rows, slice):
            return self._slice(range(len(self))[rows])
        if isinstance(rows, str):
            return self._take(self._rows_at(rows))
        if rows is Ellipsis:
            return self.numpy()
        if isinstance(rows, bool | float) or not isinstance(rows, int | np.integer | list | tuple | np.ndarray):
            raise InputError(f"rows are given as {rows!r}: expected a number, a slice, a list of numbers or a locus.")
        index = np.asarray(rows)
        if index.dtype == np.bool_:
            if index.shape != self.shape[:1]:
                raise InputError(f"the mask has shape {index.shape}: expected ({len(self)},), one for each row.")
            return self._take(np.flatnonzero(index))
        index = self._within(index.astype(np.int64) if not index.size else index)
        if index.ndim:
            return self._take(index.ravel()).reshape(*index.shape, *self.shape[1:])
        k, place = divmod(int(index), self._manifest.shard_rows)
        # A number where rows have no further dimension, as NumPy does.
        return np.array(self.shard(k)[place]) if self.ndim > 1 else self.shard(k)[place]

    def _within(self, index: NDArray[Any]) -> NDArray[np.int64]:
        if not np.issubdtype(index.dtype, np.integer):
            raise InputError(f"rows are given as {index.dtype}: expected whole numbers.")
        outside = (index < -len(self)) | (index >= len(self))
        if outside.any():
            # An IndexError, which ends an iteration by number.
            raise IndexError(f"there is no row {np.atleast_1d(index[outside])[0]}: {self.name!r} has {len(self)} rows.")
        return np.where(index < 0, index + len(self), index).astype(np.int64)

    def _slice(self, rows: range) -> NDArray[Any]:
        if rows.step != 1:
            return self._take(np.asarray(rows, dtype=np.int64))
        out, size = np.empty((len(rows), *self.shape[1:]), self.dtype), self._manifest.shard_rows
        for k in range(rows.start // size, -(-rows.stop // size)) if len(rows) else ():
            first, last = max(rows.start, k * size), min(rows.stop, (k + 1) * size)
            out[first - rows.start : last - rows.start] = self.shard(k)[first - k * size : last - k * size]
        return out

    def _take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        shards, places = np.divmod(rows, self._manifest.shard_rows)
        order = np.argsort(shards, kind="stable")
        for mine in np.split(order, np.flatnonzero(np.diff(shards[order])) + 1) if len(rows) else ():
            out[mine] = self.shard(int(shards[mine[0]]))[places[mine]]
        return out
