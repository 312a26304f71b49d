"""The file of row names: what the rows of a run are called in their data, such as the names of FASTA records."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlight.errors import InputError, kind_of
from seqlight.results.manifest import Manifest
from seqlight.results.shards import Arrays, DamagedShard, ShardOrigin, check_shard, open_shard, write_shard

NAME = "row_names.npz"
REMEDY = ": start the same run again, which writes it anew."


def as_row_names(given: Sequence[str], rows: int) -> tuple[str, ...]:
    """Return the names of all rows; raise InputError if they are not a string for each row.

    Examples
    --------
    >>> as_row_names(["a", "b"], 2)
    ('a', 'b')
    """
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        raise InputError(f"row_names of the data is {kind_of(given)}: expected a sequence of strings.")
    names = tuple(given)
    wrong = next((one for one in names if not isinstance(one, str)), None)
    if wrong is not None:
        raise InputError(f"row_names of the data has {wrong!r} in it, {kind_of(wrong)}: expected strings.")
    if len(names) != rows:
        raise InputError(f"row_names of the data has {len(names)} names for {rows} rows: expected as many.")
    return names


class RowNames(NamedTuple):
    """What the rows of a run are called, and what their sequences are written in.

    Attributes
    ----------
    names : tuple of str
        A name for each row.
    letters : str
        The letters in the order of the rows of a one-hot sequence, such as "ACGT"; "" if the data did not say.
    """

    names: tuple[str, ...]
    letters: str = ""


def write_row_names(folder: Path, named: RowNames | Sequence[str], manifest: Manifest | None = None) -> None:
    """Write what the rows are called, and which run they belong to."""
    origin = None if manifest is None else ShardOrigin(manifest.fingerprint, 0, manifest.rows)
    write_shard(folder / NAME, _arrays(named if isinstance(named, RowNames) else RowNames(tuple(named))), origin)


def read_row_names(folder: Path, manifest: Manifest | None = None) -> RowNames | None:
    """Return what the rows are called; None if there is no file of names.

    Raises
    ------
    DamagedShard
        If the file is damaged, or belongs to another run.
    """
    path = folder / NAME
    if not path.exists():
        return None
    check_shard(path)
    arrays, origin = open_shard(path)
    if arrays.keys() != {"text", "end", "letters"}:
        raise DamagedShard(f"{path} holds {', '.join(arrays) or 'nothing'}: expected text, end and letters{REMEDY}")
    text, end = arrays["text"].tobytes(), [0, *np.asarray(arrays["end"], np.int64).tolist()]
    try:
        names = tuple(text[first:last].decode() for first, last in itertools.pairwise(end))
        letters = arrays["letters"].tobytes().decode()
    except UnicodeDecodeError:
        raise DamagedShard(f"{path} holds names that are not in UTF-8{REMEDY}") from None
    if manifest is not None:
        if len(names) != manifest.rows:
            raise DamagedShard(f"{path} does not have a name for each of {manifest.rows} rows{REMEDY}")
        if origin != ShardOrigin(manifest.fingerprint, 0, manifest.rows):
            raise DamagedShard(f"{path} belongs to another run than manifest.json{REMEDY}")
    return RowNames(names, letters)


def update_row_names(folder: Path, named: RowNames | None, manifest: Manifest) -> None:
    """Make a folder hold the names of its run: write them where they differ; remove those of a run without names."""
    try:
        found = read_row_names(folder, manifest)
    except DamagedShard:
        found = None
    if named is None:
        (folder / NAME).unlink(missing_ok=True)
    elif found != named:
        write_row_names(folder, named, manifest)


def _arrays(named: RowNames) -> Arrays:
    # One text, and where each name ends in it: an array of strings would give each the room of the longest.
    encoded = [one.encode() for one in named.names]
    return {
        "text": np.frombuffer(b"".join(encoded), np.uint8),
        "end": np.cumsum([len(one) for one in encoded], dtype=np.int64),
        "letters": np.frombuffer(named.letters.encode(), np.uint8),
    }
