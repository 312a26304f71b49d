"""The folder of a study: every file is complete or not there, so that a study that was killed can go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import ResultsError
from seqlight.files.atomic import atomic_write
from seqlight.results.file_lock import Lock

FORMAT = 1
PARTS = ("cells", "cases", "outputs", "audits", "suspects")


class StudyFolder:
    """Where a study keeps what it found.

    ``study.json`` says what was asked; ``cells/<key>.json`` and ``.npy`` are the outcome of a cell and its
    contributions, ``cases/<key>.npz`` sequences and references, ``outputs/<key>-<dtype>.npz`` outputs, and
    ``audits/<key>.json`` and ``suspects/<key>-<implementation>.json`` what explains a miss.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path.absolute() / ".work"  # for workers, in whatever folder they are
        self._lock = Lock(path / ".lock" / "lock")

    def open_to_write(self) -> None:
        """Make the folder and take its lock; ResultsError if another process has it."""
        for part in PARTS:
            (self.path / part).mkdir(parents=True, exist_ok=True)
        self._lock.path.parent.mkdir(exist_ok=True)
        self._lock.take()
        # What a killed study left; no other process has it now.
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()

    def close(self) -> None:
        """Remove what was only needed meanwhile, and release the lock."""
        shutil.rmtree(self.work, ignore_errors=True)
        self._lock.release()

    def settings(self) -> dict[str, Any]:
        """Return what was asked; ResultsError if this is not the folder of a study."""
        try:
            found: dict[str, Any] = json.loads((self.path / "study.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ResultsError(
                f"{self.path} has no study.json that can be read ({type(error).__name__}): expected the folder that "
                "Study.run or `seqlight study` wrote."
            ) from None
        if found.get("format") != FORMAT:
            raise ResultsError(
                f"{self.path} is in format {found.get('format')}, of another version of seqlight: run the study again "
                "into a new folder."
            )
        return found

    def has(self, part: str, name: str) -> bool:
        """Return whether a record is there."""
        return (self.path / part / f"{name}.json").exists()

    def read(self, part: str, name: str) -> dict[str, Any] | None:
        """Return a record; None if it is not there."""
        try:
            found: dict[str, Any] = json.loads((self.path / part / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def write(self, part: str, name: str, record: dict[str, Any]) -> None:
        """Write a record in one step."""
        with atomic_write(self.path / part / f"{name}.json", wait=False) as partial:
            partial.write_text(json.dumps(record, indent=1), encoding="utf-8")

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Write what is asked in one step."""
        self.write(".", "study", settings)

    def keep_array(self, part: str, name: str, made: Path) -> None:
        """Move a finished file of arrays to its place; its record is written afterwards."""
        made.replace(self.path / part / f"{name}{made.suffix}")

    def write_case(self, key: str, X: Tensor, references: Tensor, motifs: Tensor | None) -> None:
        """Write the sequences of a case, in one byte a number where they are one-hot."""
        arrays = {"X": _compact(X), "references": _compact(references)}
        if motifs is not None:
            arrays["motifs"] = motifs.numpy()
        with atomic_write(self.path / "cases" / f"{key}.npz", wait=False) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def arrays(self, part: str, name: str) -> dict[str, Tensor]:
        """Return the arrays of a file; ResultsError if it cannot be read."""
        path = self.path / part / name
        try:
            loaded = np.load(path)
            if isinstance(loaded, np.ndarray):
                return {"": torch.from_numpy(loaded)}
            with loaded as stored:
                return {one: torch.from_numpy(stored[one]) for one in stored.files}
        except (OSError, ValueError, EOFError) as error:
            raise ResultsError(
                f"{path} cannot be read ({type(error).__name__}): remove it and run the study again, which computes "
                "only what is missing."
            ) from None


def _compact(X: Tensor) -> NDArray[Any]:
    small = X.to(torch.int8)
    return (small if torch.equal(small.to(X.dtype), X) else X).numpy()
