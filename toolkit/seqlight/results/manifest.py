"""What a folder of results says of the run that it belongs to."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlight.errors import ResultsError, a
from seqlight.files.atomic import atomic_write

NAME = "manifest.json"
# Of the folder. From 2 on each shard says which rows of which run it holds; a run that was begun in 1 goes on in it.
FORMAT = 2
# As many as the six digits in their names tell apart.
MOST_SHARDS = 1_000_000
SHARD = re.compile(r"shard-(\d{6})\.npz")


def versions() -> dict[str, str]:
    """Return the versions that numbers may depend on."""
    return {
        "seqlight": version("seqlight"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class Manifest:
    """A run: how many rows, of what, made how.

    Attributes
    ----------
    rows : int
        In all.
    shard_rows : int
        In each shard but the last.
    method : dict
        Its name and arguments, seeds included.
    model : dict
        Class, structure and weights, the latter two as digests.
    data : str
        What identifies the rows.
    versions : dict of str
        Of what the run was begun with.
    format : int
        Of the folder: 2 where each shard says which rows it holds.
    """

    rows: int
    shard_rows: int
    method: dict[str, Any]
    model: dict[str, Any]
    data: str
    versions: dict[str, str] = field(default_factory=versions)
    format: int = 1

    @property
    def has_origins(self) -> bool:
        """Whether each shard says which rows of which run it holds."""
        return self.format >= FORMAT

    @functools.cached_property
    def fingerprint(self) -> str:
        """What each shard says of the run that it belongs to: a digest of all but versions."""
        told = {name: one for name, one in asdict(self).items() if name not in ("versions", "format")}
        # As it comes back from a file, where keys are texts.
        text = json.dumps(json.loads(json.dumps(told)), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def shards(self) -> int:
        """How many shards the rows make."""
        return -(-self.rows // self.shard_rows)

    def rows_of(self, shard: int) -> range:
        """Return which rows a shard holds."""
        return range(shard * self.shard_rows, min(self.rows, (shard + 1) * self.shard_rows))

    def differences(self, other: Manifest) -> list[str]:
        """Return by what another run differs from this one; versions and the format of the folder do not count.

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
            if name.split()[0] not in ("versions", "format") and mine.get(name) != others.get(name)
        ]


def shard_path(folder: Path, shard: int) -> Path:
    """Return where a shard of a folder lies."""
    return folder / f"shard-{shard:06d}.npz"


def shards_in(folder: Path) -> set[int]:
    """Return the numbers of the shards that a folder has."""
    found = ((one, SHARD.fullmatch(one.name)) for one in os.scandir(folder))
    # What a link no longer leads to is not there: it is made anew.
    return {int(name[1]) for one, name in found if name is not None and (not one.is_symlink() or _leads(one))}


def _leads(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except OSError:
        return False
    return True


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder."""
    with atomic_write(folder / NAME) as partial:
        partial.write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None if there is none.

    Raises
    ------
    ResultsError
        If it cannot be read, or says what no run can be; the message names the field.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror}): see to it that it is a file that you may read."
                           ) from error  # fmt: skip
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is no JSON ({error})" if content.strip() else "is empty") from None
    if not isinstance(found, dict):
        raise _damaged(path, f"holds {a(found)}, and not an object with fields")
    _require_format(path, found)
    _require_fields(path, found)
    manifest = Manifest(**found)
    if manifest.shards > MOST_SHARDS:
        raise _damaged(
            path, f"has rows = {manifest.rows} and shard_rows = {manifest.shard_rows}: {manifest.shards} shards, and a "
            f"folder holds {MOST_SHARDS} at most",
        )  # fmt: skip
    return manifest


def _require_format(path: Path, found: dict[str, Any]) -> None:
    told: Any = found.get("format")
    if _is_count(told, 1) and told > FORMAT:
        raise ResultsError(
            f"{path} has format = {told}, and this seqlight reads {FORMAT} at most: use the version that wrote it."
        )


def _require_fields(path: Path, found: dict[str, Any]) -> None:
    for name, (fits, expected) in FIELDS.items():
        if name not in found:
            raise _damaged(path, f"has no {name}")
        if not fits(found[name]):
            raise _damaged(path, f"has {name} = {_short(found[name])}, and it must be {expected}")
    unknown = next((name for name in found if name not in FIELDS), None)
    if unknown is not None:
        raise _damaged(path, f"has a field {_short(unknown)}, which no manifest has")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


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
}


def _short(value: Any) -> str:
    told = json.dumps(value)
    return told if len(told) <= 60 else f"{told[:60]}..."


def _damaged(path: Path, how: str) -> ResultsError:
    return ResultsError(f"{path} {how}: put it back as the run wrote it, or delete the folder and run again.")


def _leaves(of: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(of, dict):
        for key, one in of.items():
            yield from _leaves(one, f"{path} {key}".strip())
    else:
        yield path, of
