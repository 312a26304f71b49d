"""Whether a shard is the one of its run that the manifest means, with all of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqlight.errors import ResultsError
from seqlight.results.manifest import Manifest, shard_path
from seqlight.results.shards import Arrays, DamagedShard, ShardOrigin, check_shard, open_shard

Layout = tuple[tuple[str, str, tuple[int, ...]], ...]


class StrayShard(DamagedShard):
    """A shard that is whole, and of other rows, or of another run, as `other_run` says."""

    def __init__(self, message: str, other_run: bool = False) -> None:
        super().__init__(message)
        self.other_run = other_run


def shard_origin(manifest: Manifest, shard: int) -> ShardOrigin:
    """Return what a shard of a run says of itself."""
    rows = manifest.rows_of(shard)
    return ShardOrigin(manifest.fingerprint, rows.start, rows.stop)


def read_run_shard(folder: Path, manifest: Manifest, shard: int) -> Arrays:
    """Return the arrays of a shard, mapped, after what can be asked without reading them.

    Raises
    ------
    StrayShard
        If the file holds other rows, or those of another run.
    DamagedShard
        If it is not as it was written.
    ResultsError
        If it is not there, or cannot be read.
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
            f"{path.name} is of another run than the one that manifest.json tells of: either was changed, or brought "
            "from elsewhere; put it back as it was, or delete the folder and run again.",
            other_run=True,
        )
    if origin is not None and origin != shard_origin(manifest, shard):
        raise StrayShard(
            f"{path.name} holds rows {origin.first} to {origin.stop - 1}, and its name is that of rows {rows.start} to "
            f"{rows.stop - 1}{_remedy(path)}"
        )
    return arrays


def check_run_shard(folder: Path, manifest: Manifest, shard: int) -> Arrays:
    """Return the arrays of a shard, mapped, after all of it was read and compared with its checksums."""
    arrays = read_run_shard(folder, manifest, shard)
    check_shard(shard_path(folder, shard))
    return arrays


def has_rows(arrays: Arrays, manifest: Manifest, shard: int) -> bool:
    """Return whether every array of a shard has a row for each of its rows."""
    rows = len(manifest.rows_of(shard))
    return all(one.shape[:1] == (rows,) for one in arrays.values())


def layout(arrays: Arrays) -> Layout:
    """Return in what all shards of a run are alike: names, dtypes, and the shape of a row.

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
