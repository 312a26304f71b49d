"""Tell whether a file has changed since it was opened."""

from __future__ import annotations

import os
from typing import NamedTuple

from seqlight.errors import InputError, SeqlightError


class FileStamp(NamedTuple):
    r"""Size, time and inode of a file, taken when it is opened and compared before each use of its memory map.

    Touching a page of a mapped file that has been shortened kills the process (SIGBUS), and a file that was written
    again no longer fits its index. One ``stat`` before each batch, about two microseconds, finds both::

        self._stamp = FileStamp.from_path(path)       # before the file is mapped, or its index read
        ...
        self._stamp.require_unchanged()        # before each batch; ResultsError with `error=ResultsError`

    The four values can be pickled, and a process that maps the file later compares with the same ones.

    Attributes
    ----------
    path : str
        The absolute path.
    size : int
        In bytes.
    time : int
        When the file was last changed, in nanoseconds.
    inode : int
        Another one if a new file was moved to the path.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.fa"
    ...     _ = path.write_text(">a\nTGACTCA\n")
    ...     stamp = FileStamp.from_path(path)
    ...     stamp.require_unchanged()
    ...     _ = path.write_text(">a\n")
    ...     try:
    ...         stamp.require_unchanged()
    ...     except InputError as error:
    ...         print(str(error).removeprefix(folder))
    /a.fa has changed since it was opened (11 bytes then, 3 now): open it anew, and let nothing write to it meanwhile.
    """

    path: str
    size: int
    time: int
    inode: int

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> FileStamp:
        """Return the stamp of a file as it is now; OSError if there is no file."""
        status = os.stat(path)
        # Absolute, for the working directory may change.
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ino)

    def require_unchanged(self, error: type[SeqlightError] = InputError) -> None:
        """Raise an error that names the file if it has changed.

        Parameters
        ----------
        error : type of SeqlightError
            What to raise: InputError for a user's file, ResultsError for a run's results.
        """
        try:
            now = FileStamp.from_path(self.path)
        except OSError as gone:
            how = f"it can no longer be read, {gone.strerror}"
        else:
            if now == self:
                return
            how = f"{self.size} bytes then, {now.size} now" if now.size != self.size else "it was written again"
        raise error(
            f"{self.path} has changed since it was opened ({how}): open it anew, and let nothing write to it meanwhile."
        )
