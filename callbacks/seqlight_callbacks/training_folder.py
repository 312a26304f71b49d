"""The folder a callback writes to during a training, with files named by epoch and step."""

from __future__ import annotations

import warnings
from pathlib import Path

from seqlight.errors import InputError, SeqlightWarning
from seqlight.files.folder import require_writable


class TrainingFolder:
    """A folder that knows which of its files are of this training.

    Parameters
    ----------
    path : pathlib.Path
        The folder, which need not exist yet.
    suffix : str
        The suffix of the files.
    contents : str
        What messages call the files, such as "records".
    """

    def __init__(self, path: Path, suffix: str, contents: str) -> None:
        self.path, self.suffix, self.contents = path, suffix, contents
        self._known: set[str] | None = None
        self._warned = False

    def require_writable(self) -> None:
        """Raise InputError if this is not a folder, or cannot be written to."""
        require_writable(self.path)

    def begin(self, resumed: bool) -> None:
        """Remember the files present when a training begins, and warn if they are of another one."""
        self._known, self._warned = set(self._files()), False
        if self._known and not resumed:
            warnings.warn(
                f"{self.path} holds {len(self._known)} {self.contents} of an earlier training, of which this one "
                "replaces only those with the same names: give each training its own `out`, or delete them.",
                SeqlightWarning,
                stacklevel=4,
            )

    def path_for(self, name: str) -> Path:
        """Return the path of the file of this name, to be written now.

        Raises
        ------
        InputError
            If another training, which writes to this folder at the same time, has written that file: it is kept.
        """
        path = self.path / f"{name}{self.suffix}"
        if self._known is not None:
            foreign = {file for file in self._files() if file not in self._known}
            message = f"another training writes its {self.contents} to {self.path} too: give each its own `out`"
            if path.name in foreign:
                raise InputError(f"{path.name} exists already, and {message}.")
            if foreign and not self._warned:
                self._warned = True
                warnings.warn(f"{message}.", SeqlightWarning, stacklevel=4)
            self._known.add(path.name)
        return path

    def _files(self) -> list[str]:
        return [file.name for file in self.path.glob(f"epoch-*{self.suffix}")]
