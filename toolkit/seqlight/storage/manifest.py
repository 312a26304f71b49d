"""What a folder of results says of the run that it belongs to."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlight.errors import ResultsError
from seqlight.storage.whole import whole

NAME = "manifest.json"
FORMAT = 1


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
        Of the folder.
    """

    rows: int
    shard_rows: int
    method: dict[str, Any]
    model: dict[str, Any]
    data: str
    versions: dict[str, str] = field(default_factory=versions)
    format: int = FORMAT

    @property
    def shards(self) -> int:
        """How many shards the rows make."""
        return -(-self.rows // self.shard_rows)

    def rows_of(self, shard: int) -> range:
        """Return which rows a shard holds."""
        return range(shard * self.shard_rows, min(self.rows, (shard + 1) * self.shard_rows))

    def differences(self, other: Manifest) -> list[str]:
        """Return by what another run differs from this one; versions do not count.

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
            if not name.startswith("versions") and mine.get(name) != others.get(name)
        ]


def path_of(folder: Path, shard: int) -> Path:
    """Return where a shard of a folder lies."""
    return folder / f"shard-{shard:06d}.npz"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder."""
    with whole(folder / NAME) as partial:
        partial.write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None if there is none; ResultsError if it cannot be read."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise ResultsError(
                f"{path} is of format {found['format']}, and this seqlight reads {FORMAT}: "
                "use the version that wrote it."
            )
        return Manifest(**found)
    except (ValueError, TypeError, KeyError) as error:
        raise ResultsError(f"{path} cannot be read ({error}): give another folder, or delete this one.") from None


def _leaves(of: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(of, dict):
        for key, one in of.items():
            yield from _leaves(one, f"{path} {key}".strip())
    else:
        yield path, of
