"""A folder that a run writes into: whose it is, and what is still to do."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from seqlight.errors import ResultsError, SeqlightWarning
from seqlight.sequence.loci import Loci
from seqlight.storage.locks import Lock, held
from seqlight.storage.manifest import Manifest, path_of, read_manifest, versions, write_manifest
from seqlight.storage.places import NAME as LOCI
from seqlight.storage.places import write_loci
from seqlight.storage.shards import read_shard

LOCKS = ".locks"


def lock_of(folder: Path, rank: int) -> Path:
    """Return the file that a process of a run holds locked while it lives."""
    return folder / LOCKS / f"rank-{rank:04d}"


def claim(folder: Path) -> Lock:
    """Take a folder for a run, as its process 0.

    Returns
    -------
    Lock
        For as long as it is held, no other run may have the folder.

    Raises
    ------
    ResultsError
        If a process of another run still lives.
    """
    (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    lock = Lock(lock_of(folder, 0))
    lock.take()
    for other in sorted((folder / LOCKS).iterdir()):
        if other != lock.path and held(other):
            lock.release()
            raise ResultsError(
                f"{other.read_text() or other.name} of an earlier run still works in {folder}: wait until it ends, or "
                "give another `out`."
            )
    return lock


def settle(folder: Path, manifest: Manifest, shard_rows: int | None, loci: Loci | None) -> tuple[Manifest, list[int]]:
    """Make the folder that of this run, or find that it is, and what it lacks. It must have been claimed.

    Parameters
    ----------
    folder : path
    manifest : Manifest
        Of this run.
    shard_rows : int, optional
        Asked for; where None, an earlier start of this run has chosen.
    loci : Loci, optional
        Of the rows.

    Returns
    -------
    Manifest, list of int
        What now holds, and the shards to make.

    Raises
    ------
    ResultsError
        If the folder is that of another run, of which there is a shard; the message names what differs.
    """
    earlier = read_manifest(folder)
    made = any(folder.glob("shard-*.npz"))
    if earlier is not None and not made and manifest.differences(replace(earlier, shard_rows=manifest.shard_rows)):
        # It failed before it made anything, as with a mistyped argument: nothing is lost.
        (folder / LOCI).unlink(missing_ok=True)
        earlier = None
    if earlier is not None:
        manifest = replace(manifest, shard_rows=shard_rows or earlier.shard_rows)
        _require_same(folder, manifest, earlier)
    elif made:
        raise ResultsError(f"{folder} holds shards but no manifest.json: give another `out`, or delete them.")
    for left in folder.glob("*.partial"):
        # Of a process that was killed while it wrote.
        left.unlink()
    if earlier is None:
        if loci is not None:
            write_loci(folder, loci)
        write_manifest(folder, manifest)
    return manifest, [k for k in range(manifest.shards) if not _whole(folder, manifest, k)]


def _require_same(folder: Path, mine: Manifest, earlier: Manifest) -> None:
    differences = mine.differences(earlier)
    if differences:
        raise ResultsError(
            f"{folder} holds another run: it differs in {'; '.join(differences)}. Give another `out`, or delete it."
        )
    changed = [f"{name} {earlier.versions.get(name)}" for name, one in versions().items()
               if earlier.versions.get(name) != one]  # fmt: skip
    if changed:
        warnings.warn(
            f"{folder} was begun with {', '.join(changed)}, and is continued with another version: rows may differ in "
            "their last digits.",
            SeqlightWarning,
            stacklevel=2,
        )


def _whole(folder: Path, manifest: Manifest, shard: int) -> bool:
    """Return whether a shard is there with all of its rows."""
    path = path_of(folder, shard)
    if not path.exists():
        return False
    try:
        arrays = read_shard(path)
    except ResultsError as error:
        warnings.warn(f"{error} It is made again.", SeqlightWarning, stacklevel=2)
        path.unlink()
        return False
    return all(len(one) == len(manifest.rows_of(shard)) for one in arrays.values())
