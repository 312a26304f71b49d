"""Prepare the folder of a run: lock it, check that it belongs to this run, and find the shards that are missing."""

from __future__ import annotations

import errno
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from seqlight.errors import DiskError, InputError, ResultsError, SeqlightWarning
from seqlight.files.abandoned_files import is_alive
from seqlight.results.file_lock import Lock, is_held, lock_owner
from seqlight.results.loci import NAME as LOCI
from seqlight.results.loci import read_loci, update_loci
from seqlight.results.manifest import Manifest, read_manifest, versions, write_manifest
from seqlight.results.row_names import NAME as ROW_NAMES
from seqlight.results.row_names import RowNames, read_row_names, update_row_names
from seqlight.results.shard_check import Layout, StrayShard, check_run_shard, has_rows, layout
from seqlight.results.shards import MOST_SHARDS, DamagedShard, shard_path, shards_in
from seqlight.sequence.loci import Loci

LOCKS = ".locks"
# The temporary files of a run, with the number of the process that writes them.
PARTIAL = re.compile(
    r"(?:shard-\d{6}\.npz|manifest\.json|loci\.npz|row_names\.npz|(?:attributions|predictions)[.\w]*\.bw)"
    r"\.(\d+)\.partial"
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The threads that compare shards with their checksums, during which the interpreter is free.
THREADS = 4
# How many differences between two runs a message names.
MOST_DIFFERENCES = 8


def lock_path(folder: Path, rank: int) -> Path:
    """Return the file that a process of a run keeps locked while it is alive."""
    return folder / LOCKS / f"rank-{rank:04d}"


def claim_folder(folder: Path) -> Lock:
    """Lock a folder for a run, as its process 0.

    Returns
    -------
    Lock
        While it is held, no other run can claim the folder.

    Raises
    ------
    ResultsError
        If a process of another run is still alive.
    DiskError
        If the folder cannot be written to.
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
    """Raise DiskError, which says what to do, for errors of the system while a file is written."""
    try:
        yield
    except ResultsError:
        raise
    except OSError as error:
        remedy = "make room" if error.errno in FULL else "make sure that you may write there, or give another `out`"
        raise DiskError(
            f"{what} could not be written to {folder} ({error.strerror or error}): {remedy}, and start the same run "
            "again, which makes what is missing.",
            error.errno,
        ) from error


def prepare_folder(
    folder: Path,
    manifest: Manifest,
    shard_rows: int | None,
    loci: Loci | None,
    row_names: RowNames | None = None,
) -> tuple[Manifest, list[int]]:
    """Make a claimed folder belong to this run, or check that it does, and return what is missing.

    Parameters
    ----------
    folder : path
        The folder, which :func:`claim_folder` has locked.
    manifest : Manifest
        The manifest of this run.
    shard_rows : int, optional
        The number of rows per shard, if the caller chose it; if None, that of an earlier start of this run is used.
    loci : Loci, optional
        Where in a genome the rows are from.
    row_names : RowNames, optional
        What the rows are called.

    Returns
    -------
    Manifest, list of int
        The manifest of the folder, and the shards to make.

    Raises
    ------
    ResultsError
        If the folder has a shard of another run; the message names what differs. Or if it has a file that is no run's
        under a name that this run would write to.

    Warns
    -----
    SeqlightWarning
        For each shard that is damaged, or holds other rows than it should: it is deleted, and made again.
    """
    before = earlier = read_manifest(folder)
    made = shards_in(folder)
    if earlier is not None and not made and manifest.differences(replace(earlier, shard_rows=manifest.shard_rows)):
        # The earlier run failed before it made anything, as with a mistyped argument: nothing is lost.
        earlier = None
    if earlier is not None:
        _require_same(folder, replace(manifest, shard_rows=shard_rows or earlier.shard_rows), earlier)
    elif made:
        raise ResultsError(f"{folder} holds shards but no manifest.json: give another `out`, or delete them.")
    elif before is None:
        _require_no_other_files(folder)
    _require_few_shards(manifest if earlier is None else earlier)
    with disk_errors(folder):
        _remove_partial_files(folder)
        update_loci(folder, loci, earlier or manifest)
        update_row_names(folder, row_names, earlier or manifest)
        kept = manifest if earlier is None else _with_labels(earlier, manifest)
        if kept != earlier:
            write_manifest(folder, kept)
    return kept, _missing_shards(folder, kept, made)


def _with_labels(earlier: Manifest, manifest: Manifest) -> Manifest:
    """Return the manifest of an earlier start, with what `manifest` knows of its data by now."""
    alphabet, sizes = manifest.alphabet or earlier.alphabet, manifest.chrom_sizes or earlier.chrom_sizes
    return replace(earlier, alphabet=alphabet, chrom_sizes=sizes)


def _require_no_other_files(folder: Path) -> None:
    """Raise ResultsError for a user's own file in a new folder that the run would replace or delete."""
    for name, read in ((LOCI, read_loci), (ROW_NAMES, read_row_names)):
        try:
            read(folder)
        except DamagedShard:
            raise ResultsError(
                f"{folder} holds a {name} that is not of a run of seqlight, which this run would replace: give another "
                "`out`, or move that file."
            ) from None


def _require_same(folder: Path, mine: Manifest, earlier: Manifest) -> None:
    if earlier.model.get("fingerprint") != mine.model.get("fingerprint"):
        raise ResultsError(
            f"{folder} was begun by an older seqlight, which recorded less, so it cannot be compared with this run: "
            "read its rows with open_results(..., incomplete=True), and give another `out`, or delete it."
        )
    differences = mine.differences(earlier)
    if differences:
        raise ResultsError(
            f"{folder} holds another run: it differs in {_shortened(differences)}. Give another `out`, or delete it."
            + _advice_on_leftovers(differences)
            + _advice_on_python(earlier)
        )
    now = versions()
    changed = [f"{name} {earlier.versions.get(name)}" for name in now if earlier.versions.get(name) != now[name]]
    if changed:
        warnings.warn(
            f"{folder} was begun with {', '.join(changed)}, and is continued with another version: rows may differ in "
            "their last digits.",
            SeqlightWarning,
            stacklevel=2,
        )


def _shortened(differences: Sequence[str]) -> str:
    """Return the first differences as a text: another model differs in each of its modules."""
    more = len(differences) - MOST_DIFFERENCES
    return "; ".join(differences[:MOST_DIFFERENCES]) + (f"; and in {more} more" if more > 0 else "")


def _advice_on_leftovers(differences: Sequence[str]) -> str:
    """Return what to do if nothing differs but what a call may have left on the model."""
    if not all(one.startswith(("model attributes", "model hooks")) for one in differences):
        return ""
    return (
        " If an earlier call left that on the model (a cache, activations that a hook collects), make the model anew, "
        "and run it before it is called."
    )


def _advice_on_python(earlier: Manifest) -> str:
    """Return that compiled code cannot be compared, if the folder was begun with another version of Python."""
    theirs, mine = (one.get("python", "").rpartition(".")[0] for one in (earlier.versions, versions()))
    if theirs == mine:
        return ""
    return (
        f" It was begun with Python {theirs}, whose compiled code Python {mine} cannot compare with its own: code that "
        "is the same may seem to differ."
    )


def _require_few_shards(manifest: Manifest) -> None:
    if manifest.shards > MOST_SHARDS:
        least = -(-manifest.rows // MOST_SHARDS)
        raise InputError(
            f"shard_rows is {manifest.shard_rows}, which makes {manifest.shards} files of {manifest.rows} rows: "
            f"expected {MOST_SHARDS} files at most, so at least {least}."
        )


def _remove_partial_files(folder: Path) -> None:
    """Delete the temporary files of processes that were killed while they wrote; all else may be the user's."""
    for left in folder.glob("*.partial"):
        found = PARTIAL.fullmatch(left.name)
        if found is not None and left.is_file() and not left.is_symlink() and not is_alive(int(found[1])):
            left.unlink(missing_ok=True)


def _missing_shards(folder: Path, manifest: Manifest, there: set[int]) -> list[int]:
    """Return the shards to make, after deleting those that are damaged or do not match the others."""
    beyond = min((k for k in there if k >= manifest.shards), default=None)
    if beyond is not None:
        raise ResultsError(
            f"{shard_path(folder, beyond)} is a shard more than the {manifest.shards} that {manifest.rows} rows make: "
            "was it copied here? Move it away."
        )
    known = sorted(there)
    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(known, pool.map(lambda k: _check(folder, manifest, k), known), strict=True))
    other_run = [one for one in found.values() if isinstance(one, StrayShard) and one.other_run]
    if other_run and len(other_run) == len(found):
        raise ResultsError(str(other_run[0]))
    usual = _usual([one for one in found.values() if isinstance(one, tuple)])
    for k, one in found.items():
        if isinstance(one, DamagedShard):
            warnings.warn(f"{one} This run deletes it, and it is made again.", SeqlightWarning, stacklevel=2)
        elif one is not None and one != usual:
            warnings.warn(
                f"{shard_path(folder, k).name} has {_words(one)}, and others have {_words(usual)}: it is made again.",
                SeqlightWarning,
                stacklevel=2,
            )
        if one is None or one != usual:
            shard_path(folder, k).unlink(missing_ok=True)
    return [k for k in range(manifest.shards) if k not in found or found[k] is None or found[k] != usual]


def _check(folder: Path, manifest: Manifest, shard: int) -> Layout | DamagedShard | None:
    """Return the layout of a shard after reading all of it, the error if it is damaged, or None if rows are missing."""
    try:
        arrays = check_run_shard(folder, manifest, shard)
    except DamagedShard as error:
        return error
    return layout(arrays) if has_rows(arrays, manifest, shard) else None


def _usual(layouts: list[Layout]) -> Layout | None:
    """Return the layout of most shards; None if two are equally frequent, for then either may be the right one."""
    first, *others = [*Counter(layouts).most_common(2), (None, 0)]
    return first[0] if not others or first[1] > others[0][1] else None


def _words(layout: Layout | None) -> str:
    if layout is None:
        return "something else"
    return ", ".join(f"{name} {dtype} {shape}" for name, dtype, shape in layout) or "nothing"
