"""The manifest of a run: the file in its folder that says what the run is."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlight.errors import ResultsError, kind_of
from seqlight.files.atomic import atomic_write
from seqlight.results.shards import MOST_SHARDS

NAME = "manifest.json"
# The format of the folder. Since 2 each shard says which rows of which run it holds; runs in format 1 can be resumed.
FORMAT = 2
# Fields that do not tell a run from another one, and those that a manifest may lack.
OPTIONAL = ("alphabet", "chrom_sizes")
LABELS = ("versions", "format", *OPTIONAL)


def versions() -> dict[str, str]:
    """Return the versions of what results may depend on."""
    return {
        "seqlight": version("seqlight"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class Manifest:
    """A run: its method, its model and its data.

    Attributes
    ----------
    rows : int
        The number of all rows.
    shard_rows : int
        The number of rows in each shard but the last.
    method : dict
        Its name and arguments, seeds included.
    model : dict
        Class, structure and weights, the latter two as digests.
    data : str
        The fingerprint of the rows.
    versions : dict of str
        The versions with which the run was begun.
    format : int
        The format of the folder: 2 if each shard says which rows it holds.
    alphabet : str
        The letters of the sequences, in the order of the rows of a one-hot array; "" if they are not known. It labels
        the run, and does not tell it from another one.
    chrom_sizes : dict of str to int
        The lengths of the chromosomes that rows are from, for bigWig; empty if they are not known. A label too.
    """

    rows: int
    shard_rows: int
    method: dict[str, Any]
    model: dict[str, Any]
    data: str
    versions: dict[str, str] = field(default_factory=versions)
    format: int = 1
    alphabet: str = ""
    chrom_sizes: dict[str, int] = field(default_factory=dict)

    @property
    def has_origins(self) -> bool:
        """Whether each shard says which rows of which run it holds."""
        return self.format >= FORMAT

    @functools.cached_property
    def fingerprint(self) -> str:
        """The name of the run in each of its shards: a digest of all but versions, format and labels."""
        fields = {name: one for name, one in asdict(self).items() if name not in LABELS}
        # As it is read back from a file, where keys are texts.
        text = json.dumps(json.loads(json.dumps(fields)), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-self.rows // self.shard_rows)

    def rows_of(self, shard: int) -> range:
        """Return which rows a shard holds."""
        return range(shard * self.shard_rows, min(self.rows, (shard + 1) * self.shard_rows))

    def differences(self, other: Manifest) -> list[str]:
        """Return how another run differs from this one, apart from versions, labels and the format of the folder.

        Examples
        --------
        >>> run = Manifest(10, 5, {"name": "predict"}, {"weights": "ab"}, "cd")
        >>> run.differences(Manifest(10, 5, {"name": "predict"}, {"weights": "ff"}, "cd"))
        ["model weights ('ab' here, 'ff' there)"]
        """
        mine, others = ({**dict(_leaves(asdict(one)))} for one in (self, other))
        return [
            f"{name} ({mine.get(name)!r} here, {others.get(name)!r} there)"
            for name in dict.fromkeys((*mine, *others))
            if name.split()[0] not in LABELS and mine.get(name) != others.get(name)
        ]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder."""
    fields = {name: one for name, one in asdict(manifest).items() if name not in OPTIONAL or one}
    with atomic_write(folder / NAME) as partial:
        partial.write_text(json.dumps(fields, indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder; None if there is none.

    Raises
    ------
    ResultsError
        If it cannot be read, or a field is invalid; the message names the field.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror}): make sure that it is a file that you may read."
        ) from error
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is not JSON ({error})" if content.strip() else "is empty") from None
    if not isinstance(found, dict):
        raise _damaged(path, f"holds {kind_of(found)} instead of an object with fields")
    _require_format(path, found)
    _require_fields(path, found)
    manifest = Manifest(**found)
    if manifest.shards > MOST_SHARDS:
        raise _damaged(
            path,
            f"has rows = {manifest.rows} and shard_rows = {manifest.shard_rows}: {manifest.shards} shards, and a "
            f"folder holds {MOST_SHARDS} at most",
        )
    return manifest


def _require_format(path: Path, found: dict[str, Any]) -> None:
    number: Any = found.get("format")
    if _is_count(number, 1) and number > FORMAT:
        raise ResultsError(
            f"{path} has format = {number}, and this seqlight reads {FORMAT} at most: use the version that wrote it."
        )


def _require_fields(path: Path, found: dict[str, Any]) -> None:
    for name, (fits, expected) in FIELDS.items():
        if name not in found and name in OPTIONAL:
            continue
        if name not in found:
            raise _damaged(path, f"has no {name}")
        if not fits(found[name]):
            raise _damaged(path, f"has {name} = {_short(found[name])}, and it must be {expected}")
    unknown = next((name for name in found if name not in FIELDS), None)
    if unknown is not None:
        raise _damaged(path, f"has a field {_short(unknown)}, which no manifest has")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_of_lengths(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_count(one, 1) for one in value.values())


def _is_of_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rows": (lambda value: _is_count(value, 0), "a whole number, 0 or more"),
    "shard_rows": (lambda value: _is_count(value, 1), "a whole number, 1 or more"),
    "method": (lambda value: isinstance(value, dict), "an object"),
    "model": (lambda value: isinstance(value, dict), "an object"),
    "data": (lambda value: isinstance(value, str), "a text"),
    "versions": (_is_of_texts, "an object of texts"),
    "format": (lambda value: _is_count(value, 1), "a whole number, 1 or more"),
    "alphabet": (lambda value: isinstance(value, str), "a text"),
    "chrom_sizes": (_is_of_lengths, "an object of whole numbers, 1 or more"),
}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _damaged(path: Path, how: str) -> ResultsError:
    return ResultsError(f"{path} {how}: restore it as the run wrote it, or delete the folder and run again.")


def _leaves(of: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(of, dict):
        for key, one in of.items():
            yield from _leaves(one, f"{path} {key}".strip())
    else:
        yield path, of
