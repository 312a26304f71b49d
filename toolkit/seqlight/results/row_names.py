"""The file of row names: what the rows of a run are called in their data, such as the names of FASTA records."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlight.errors import InputError, kind_of
from seqlight.results.manifest import Manifest
from seqlight.results.row_file import REMEDY, read_row_file, require_run, update_row_file, write_row_file
from seqlight.results.shards import Arrays, DamagedShard

NAME = "row_names.npz"


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
    write_row_file(folder / NAME, _arrays(named if isinstance(named, RowNames) else RowNames(tuple(named))), manifest)


def read_row_names(folder: Path, manifest: Manifest | None = None) -> RowNames | None:
    """Return what the rows are called; None if there is no file of names.

    Raises
    ------
    DamagedShard
        If the file is damaged, or belongs to another run.
    """
    path = folder / NAME
    shard = read_row_file(path)
    if shard is None:
        return None
    arrays = shard.arrays
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
        require_run(path, shard.origin, manifest, older=False)
    return RowNames(names, letters)


def update_row_names(folder: Path, named: RowNames | None, manifest: Manifest) -> None:
    """Make a folder hold the names of its run: write them where they differ; remove those of a run without names."""
    update_row_file(folder / NAME, None if named is None else _arrays(named), manifest, older=False)


def _arrays(named: RowNames) -> Arrays:
    # One text, and where each name ends in it: an array of strings would give each the room of the longest.
    encoded = [one.encode() for one in named.names]
    return {
        "text": np.frombuffer(b"".join(encoded), np.uint8),
        "end": np.cumsum([len(one) for one in encoded], dtype=np.int64),
        "letters": np.frombuffer(named.letters.encode(), np.uint8),
    }
