"""Files beside the shards with something about all rows of a run: where they are from, or what they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlight.results.manifest import Manifest
from seqlight.results.shards import Arrays, DamagedShard, Shard, ShardOrigin, check_shard, open_shard, write_shard

REMEDY = ": start the same run again, which writes it anew."


def write_row_file(path: Path, arrays: Arrays, manifest: Manifest | None = None) -> None:
    """Write arrays about all rows, and which run they belong to."""
    write_shard(path, arrays, None if manifest is None else _origin(manifest))


def read_row_file(path: Path) -> Shard | None:
    """Return what a file holds, after reading all of it and comparing it with its checksums; None if there is none."""
    if not path.exists():
        return None
    check_shard(path)
    return open_shard(path)


def require_run(path: Path, origin: ShardOrigin | None, manifest: Manifest, *, older: bool) -> None:
    """Raise DamagedShard for a file of another run; with `older`, one of a run without origins need not have one."""
    if older and origin is None and not manifest.has_origins:
        return
    if origin != _origin(manifest):
        raise DamagedShard(f"{path} belongs to another run than manifest.json{REMEDY}")


def update_row_file(path: Path, arrays: Arrays | None, manifest: Manifest, *, older: bool) -> None:
    """Make a file hold arrays of its run: write it where it differs, and remove it where there are none."""
    if _holds(path, arrays, manifest, older):
        return
    if arrays is None:
        path.unlink(missing_ok=True)
    else:
        write_row_file(path, arrays, manifest)


def _holds(path: Path, arrays: Arrays | None, manifest: Manifest, older: bool) -> bool:
    try:
        found = read_row_file(path)
        if found is None:
            return False
        require_run(path, found.origin, manifest, older=older)
    except DamagedShard:
        return False
    if arrays is None or found.arrays.keys() != arrays.keys():
        return False
    return all(np.array_equal(found.arrays[name], one) for name, one in arrays.items())


def _origin(manifest: Manifest) -> ShardOrigin:
    return ShardOrigin(manifest.fingerprint, 0, manifest.rows)
