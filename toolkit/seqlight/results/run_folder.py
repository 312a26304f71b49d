"""A folder that a run writes into: whose it is, and what is still to do."""

from __future__ import annotations

import errno
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from seqlight.errors import DiskError, InputError, ResultsError, SeqlightWarning
from seqlight.results.file_lock import Lock, is_held, lock_owner
from seqlight.results.loci import update_loci
from seqlight.results.manifest import (
    MOST_SHARDS,
    Manifest,
    read_manifest,
    shard_path,
    shards_in,
    versions,
    write_manifest,
)
from seqlight.results.shard_check import Layout, StrayShard, check_run_shard, has_rows, layout
from seqlight.results.shards import DamagedShard
from seqlight.sequence.loci import Loci

LOCKS = ".locks"
# What a run of ours writes before it has its name, by the process of this number.
PARTIAL = re.compile(r"(?:shard-\d{6}\.npz|manifest\.json|loci\.npz)\.(\d+)\.partial")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# That compare shards with their checksums, for which Python need not wait.
THREADS = 4


def lock_path(folder: Path, rank: int) -> Path:
    """Return the file that a process of a run holds locked while it lives."""
    return folder / LOCKS / f"rank-{rank:04d}"


def claim_folder(folder: Path) -> Lock:
    """Take a folder for a run, as its process 0.

    Returns
    -------
    Lock
        For as long as it is held, no other run may have the folder.

    Raises
    ------
    ResultsError
        If a process of another run still lives.
    DiskError
        If nothing can be written there.
    """
    with disk_errors(folder):
        (folder / LOCKS).mkdir(parents=True, exist_ok=True)
        lock = Lock(lock_path(folder, 0))
        lock.take()
    for other in sorted((folder / LOCKS).glob("rank-*")):
        if other != lock.path and not other.suffix and is_held(other):
            lock.release()
            raise ResultsError(
                f"{lock_owner(other)} of an earlier run still works in {folder}: wait until it ends, or "
                "give another `out`."
            )
    return lock


@contextmanager
def disk_errors(folder: Path, what: str = "a file") -> Iterator[None]:
    """Raise DiskError, which says what to do, for what the system says of a file that it does not take."""
    try:
        yield
    except ResultsError:
        raise
    except OSError as error:
        remedy = "make room" if error.errno in FULL else "see to it that you may write there, or give another `out`"
        raise DiskError(
            f"{what} could not be written to {folder} ({error.strerror or error}): {remedy}, and start the same run "
            "again, which makes what is missing.",
            error.errno,
        ) from error


def prepare_folder(
    folder: Path, manifest: Manifest, shard_rows: int | None, loci: Loci | None
) -> tuple[Manifest, list[int]]:
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

    Warns
    -----
    SeqlightWarning
        Of each shard that is damaged, or not of the rows that it should hold: it is deleted, and to make again.
    """
    earlier = read_manifest(folder)
    made = shards_in(folder)
    if earlier is not None and not made and manifest.differences(replace(earlier, shard_rows=manifest.shard_rows)):
        # It failed before it made anything, as with a mistyped argument: nothing is lost.
        earlier = None
    if earlier is not None:
        _require_same(folder, replace(manifest, shard_rows=shard_rows or earlier.shard_rows), earlier)
    elif made:
        raise ResultsError(f"{folder} holds shards but no manifest.json: give another `out`, or delete them.")
    _require_few(manifest if earlier is None else earlier)
    with disk_errors(folder):
        _clear(folder)
        update_loci(folder, loci, earlier or manifest)
        if earlier is None:
            write_manifest(folder, manifest)
    return earlier or manifest, _lacking(folder, earlier or manifest, made)


def _require_same(folder: Path, mine: Manifest, earlier: Manifest) -> None:
    if earlier.model.get("fingerprint") != mine.model.get("fingerprint"):
        raise ResultsError(
            f"{folder} was begun by an older seqlight, which recorded less, so nobody can tell if it is this run: "
            "read its rows with open_results(..., incomplete=True), and give another `out`, or delete it."
        )
    differences = mine.differences(earlier)
    if differences:
        raise ResultsError(
            f"{folder} holds another run: it differs in {'; '.join(differences)}. Give another `out`, or delete it."
            + _left_by_calls(differences)
            + _other_python(earlier)
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


def _left_by_calls(differences: Sequence[str]) -> str:
    """Return what to do where nothing differs but what a call may have left on a model."""
    if not all(one.startswith(("model attributes", "model hooks")) for one in differences):
        return ""
    return (
        " If that is what an earlier call has left there (a cache, activations that a hook collects), make the model "
        "anew, and run it before it is called."
    )


def _other_python(earlier: Manifest) -> str:
    """Return that compiled code differs, where it is that of another Python."""
    theirs, mine = (one.get("python", "").rpartition(".")[0] for one in (earlier.versions, versions()))
    if theirs == mine:
        return ""
    return (
        f" It was begun with Python {theirs}, whose compiled code Python {mine} cannot compare with its own: code may "
        "seem to differ that does not."
    )


def _require_few(manifest: Manifest) -> None:
    if manifest.shards > MOST_SHARDS:
        least = -(-manifest.rows // MOST_SHARDS)
        raise InputError(
            f"shard_rows is {manifest.shard_rows}, which makes {manifest.shards} files of {manifest.rows} rows: "
            f"expected {MOST_SHARDS} files at most, so {least} rows or more."
        )


def _clear(folder: Path) -> None:
    """Delete what processes of a run that were killed while they wrote have left; anything else is not ours."""
    for left in folder.glob("*.partial"):
        found = PARTIAL.fullmatch(left.name)
        if found is not None and left.is_file() and not left.is_symlink() and not _lives(int(found[1])):
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    """Return whether there is a process of that number on this machine, other than this one."""
    if process == os.getpid() or os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _lacking(folder: Path, manifest: Manifest, there: set[int]) -> list[int]:
    """Return the shards to make; those that are there and not as they should be are deleted."""
    beyond = min((k for k in there if k >= manifest.shards), default=None)
    if beyond is not None:
        raise ResultsError(
            f"{shard_path(folder, beyond)} is a shard more than the {manifest.shards} that {manifest.rows} rows make: "
            "was it brought from elsewhere? Move it away."
        )
    known = sorted(there)
    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(known, pool.map(lambda k: _found(folder, manifest, k), known), strict=True))
    other_run = [one for one in found.values() if isinstance(one, StrayShard) and one.other_run]
    if other_run and len(other_run) == len(found):
        raise ResultsError(str(other_run[0]))
    usual = _usual([one for one in found.values() if isinstance(one, tuple)])
    for k, one in found.items():
        if isinstance(one, DamagedShard):
            warnings.warn(f"{one} This run deletes it, and it is made again.", SeqlightWarning, stacklevel=2)
        elif one is not None and one != usual:
            warnings.warn(
                f"{shard_path(folder, k).name} has {_shown(one)}, and others have {_shown(usual)}: it is made again.",
                SeqlightWarning,
                stacklevel=2,
            )
        if one is None or one != usual:
            shard_path(folder, k).unlink(missing_ok=True)
    return [k for k in range(manifest.shards) if k not in found or found[k] is None or found[k] != usual]


def _found(folder: Path, manifest: Manifest, shard: int) -> Layout | DamagedShard | None:
    """Return what a shard holds, after all of it was read; what is wrong with it; or None where rows are missing."""
    try:
        arrays = check_run_shard(folder, manifest, shard)
    except DamagedShard as error:
        return error
    return layout(arrays) if has_rows(arrays, manifest, shard) else None


def _usual(layouts: list[Layout]) -> Layout | None:
    """Return the layout of most shards; None where two are equally frequent, for then nothing tells which is right."""
    first, *others = [*Counter(layouts).most_common(2), (None, 0)]
    return first[0] if not others or first[1] > others[0][1] else None


def _shown(of: Layout | None) -> str:
    if of is None:
        return "something else"
    return ", ".join(f"{name} {dtype} {shape}" for name, dtype, shape in of) or "nothing"
