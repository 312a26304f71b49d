"""The results of a run, read back from its folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError, ResultsError
from seqlight.sequence.loci import Loci
from seqlight.storage.columns import Column
from seqlight.storage.manifest import Manifest, path_of, read_manifest
from seqlight.storage.places import read_loci, rows_at
from seqlight.storage.shards import Arrays, check_shard, read_shard

# How many shards stay mapped: maps are cheap, but a process may have only so many.
MAPPED = 1024


def open_results(out: str | os.PathLike[str], *, incomplete: bool = False) -> Results:
    """Open the folder of a run: all of its arrays over all rows, in order, read when they are looked at.

    Parameters
    ----------
    out : str or path
        The folder that :func:`seqlight.run` or ``ShardWriter`` wrote.
    incomplete : bool
        Open it although rows are missing; looking at those is an error.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        If there is no run in the folder.
    ResultsError
        If rows are missing, and `incomplete` does not allow that; the message says how many and what to do.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    >>> with tempfile.TemporaryDirectory() as out:
    ...     _ = sl.run(model, sl.random_one_hot((5, 4, 10)), out=out, accelerator="cpu", progress=False)
    ...     sl.open_results(out)["predictions"][1:3].shape
    (2, 3)
    """
    folder = Path(out)
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder} holds no results: expected a folder that seqlight.run or ShardWriter wrote.")
    results = Results(folder, manifest)
    missing = [] if incomplete else results.missing()
    if missing:
        rows = sum(len(manifest.rows_of(k)) for k in missing)
        raise ResultsError(
            f"{rows} of {manifest.rows} rows are missing in {folder}: start the same run with the same `out` again, on "
            "any number of processes, and it makes those alone; or read what is there with incomplete=True."
        )
    return results


class Results:
    """The arrays of a run, each over all rows.

    ``results["attributions"]`` is a :class:`Column`, which is indexed like an array; ``results.names`` are those that
    there are, and ``results.loci`` the places of the rows, where they have one.

    Attributes
    ----------
    path : pathlib.Path
    manifest : Manifest
        What the run was.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._mapped = functools.lru_cache(MAPPED)(self._read)

    @functools.cached_property
    def loci(self) -> Loci | None:
        """Where in a genome each row comes from; None if the data did not say."""
        return read_loci(self.path)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """What arrays there are; none where there are no rows."""
        return tuple(self._first)

    def missing(self) -> list[int]:
        """Return which shards are not there."""
        there = {one.name for one in os.scandir(self.path)}
        return [k for k in range(self.manifest.shards) if path_of(self.path, k).name not in there]

    def rows_at(self, locus: str) -> NDArray[np.int64]:
        """Return the rows whose windows overlap a place, ``"chr1:1000-2000"`` or ``"chr1"``.

        Raises
        ------
        InputError
            If it is no place, none is known of the rows, or its chromosome has none.
        """
        if self.loci is None:
            raise InputError(f"the rows of {self.path} have no places: run on data that has `.loci`, or give numbers.")
        return rows_at(self.loci, locus)

    def verify(self) -> None:
        """Read everything and compare it with its checksums.

        Raises
        ------
        ResultsError
            If a shard is missing or damaged; the message names it.
        """
        for k in range(self.manifest.shards):
            self._require(k)
            check_shard(path_of(self.path, k))

    def __getitem__(self, name: str) -> Column:
        if name not in self.names:
            there = ", ".join(map(repr, self.names)) or "none, for the run had no rows"
            raise InputError(f"there is no {name!r} in {self.path}: expected one of {there}.")
        return Column(name, self.manifest, lambda k: self._of(k, name), self._first[name], self.rows_at)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.manifest.rows

    def __repr__(self) -> str:
        lines = [f"  {name}: {self[name].shape} {self[name].dtype}" for name in self.names]
        return "\n".join([f"Results of {len(self)} rows in {self.path}", *lines])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "manifest": self.manifest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @functools.cached_property
    def _first(self) -> Arrays:
        """The arrays of the first shard that is there, which tell the shapes of all."""
        missing = set(self.missing()) if self.manifest.shards else set()
        there = next((k for k in range(self.manifest.shards) if k not in missing), None)
        return {} if there is None else self._mapped(there)

    def _of(self, k: int, name: str) -> NDArray[Any]:
        found = self._mapped(k)
        if name not in found:
            raise ResultsError(f"shard {k} of {self.path} has no {name!r}: delete it and run again.")
        return found[name]

    def _read(self, k: int) -> Arrays:
        self._require(k)
        return read_shard(path_of(self.path, k))

    def _require(self, k: int) -> None:
        if not path_of(self.path, k).exists():
            rows = self.manifest.rows_of(k)
            raise ResultsError(
                f"rows {rows.start} to {rows.stop - 1} are missing in {self.path}: start the same run again, "
                "which makes what is missing."
            )
