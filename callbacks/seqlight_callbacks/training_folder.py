"""The folder of a training, in which files are named by epoch and step."""

from __future__ import annotations

import warnings
from pathlib import Path

from seqlight.errors import InputError, SeqlightWarning
from seqlight.files.folder import require_writable


class Folder:
    """Where a callback writes, and which of the files in it are of this training.

    Parameters
    ----------
    path : pathlib.Path
        It need not be there yet.
    suffix : str
        Of the files.
    what : str
        What to call them in messages, as in "records".
    """

    def __init__(self, path: Path, suffix: str, what: str) -> None:
        self.path, self.suffix, self.what = path, suffix, what
        self._known: set[str] | None = None
        self._told = False

    def require(self) -> None:
        """Raise InputError if this cannot be a folder, or not be written to."""
        require_writable(self.path)

    def begin(self, resumed: bool) -> None:
        """Note what is there when a training begins, and warn of what is of another one."""
        self._known, self._told = set(self._there()), False
        if self._known and not resumed:
            warnings.warn(
                f"{self.path} holds {len(self._known)} {self.what} of an earlier training, and those of this one "
                "replace only their namesakes: give each training its own `out`, or delete them.",
                SeqlightWarning,
                stacklevel=4,
            )

    def file(self, name: str) -> Path:
        """Return where to write what has this name.

        Raises
        ------
        InputError
            If another training, which writes here at the same time, has written it: nothing of it is replaced.
        """
        path = self.path / f"{name}{self.suffix}"
        if self._known is not None:
            others = {one for one in self._there() if one not in self._known}
            said = f"another training writes its {self.what} into {self.path} too: give each its own `out`"
            if path.name in others:
                raise InputError(f"{path.name} is there already, and {said}.")
            if others and not self._told:
                self._told = True
                warnings.warn(f"{said}.", SeqlightWarning, stacklevel=4)
            self._known.add(path.name)
        return path

    def _there(self) -> list[str]:
        return [one.name for one in self.path.glob(f"epoch-*{self.suffix}")]
