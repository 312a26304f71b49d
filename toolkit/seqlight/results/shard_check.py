"""Check that a shard belongs to the run of the manifest, and holds the rows that its name says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlight.errors import ResultsError
from seqlight.results.manifest import Manifest
from seqlight.results.shards import Arrays, DamagedShard, ShardOrigin, check_shard, open_shard, shard_path

Layout = tuple[tuple[str, str, tuple[int, ...]], ...]


class StrayShard(DamagedShard):
    """A shard that is intact but holds other rows, or those of another run (`other_run`)."""

    def __init__(self, message: str, other_run: bool = False) -> None:
        super().__init__(message)
        self.other_run = other_run


def shard_origin(manifest: Manifest, shard: int) -> ShardOrigin:
    """Return the origin that a shard of a run must have."""
    rows = manifest.rows_of(shard)
    return ShardOrigin(manifest.fingerprint, rows.start, rows.stop)


def read_run_shard(folder: Path, manifest: Manifest, shard: int) -> Arrays:
    """Return the arrays of a shard, mapped, after the checks that do not read them.

    Raises
    ------
    StrayShard
        If the file holds other rows, or those of another run.
    DamagedShard
        If it is damaged.
    ResultsError
        If it is missing, or cannot be read.
    """
    path, rows = shard_path(folder, shard), manifest.rows_of(shard)
    try:
        arrays, origin = open_shard(path)
    except FileNotFoundError:
        raise ResultsError(
            f"rows {rows.start} to {rows.stop - 1} are missing in {folder}: start the same run again, "
            "which makes what is missing."
        ) from None
    if origin is None and manifest.has_origins:
        raise StrayShard(
            f"{path.name} does not say which rows it holds, as every shard of this run does{_remedy(path)}"
        )
    if origin is not None and origin.run != manifest.fingerprint:
        raise StrayShard(
            f"{path.name} belongs to another run than manifest.json: one of the two was changed, or copied here; "
            "restore it, or delete the folder and run again.",
            other_run=True,
        )
    if origin is not None and origin != shard_origin(manifest, shard):
        raise StrayShard(
            f"{path.name} holds rows {origin.first} to {origin.stop - 1}, but its name is that of rows {rows.start} to "
            f"{rows.stop - 1}{_remedy(path)}"
        )
    return arrays


def check_run_shard(folder: Path, manifest: Manifest, shard: int) -> Arrays:
    """Return the arrays of a shard, mapped, after reading all of it and comparing it with its checksums."""
    arrays = read_run_shard(folder, manifest, shard)
    check_shard(shard_path(folder, shard))
    return arrays


def has_rows(arrays: Arrays, manifest: Manifest, shard: int) -> bool:
    """Return whether every array of a shard has a row for each of its rows."""
    rows = len(manifest.rows_of(shard))
    return all(one.shape[:1] == (rows,) for one in arrays.values())


def layout(arrays: Arrays) -> Layout:
    """Return what all shards of a run have in common: names, dtypes, and the shape of a row.

    Examples
    --------
    >>> import numpy as np
    >>> layout({"y": np.zeros((3, 2), dtype=np.float32)})
    (('y', '<f4', (2,)),)
    """
    return tuple((name, one.dtype.str, _of_row(one)) for name, one in arrays.items())


def _of_row(array: Any) -> tuple[int, ...]:
    return tuple(array.shape[1:])


def _remedy(path: Path) -> str:
    return f": delete {path} and run again, which makes what is missing."
