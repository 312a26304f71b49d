"""Whether a file is still the one that was opened."""

from __future__ import annotations

import os
from typing import NamedTuple

from seqlight.errors import InputError, SeqlightError


class FileStamp(NamedTuple):
    r"""Size, time and inode of a file, taken when it is opened and compared before each use of a map of it.

    To touch a page of a mapped file that was shortened meanwhile ends the process (SIGBUS), and a file that was
    written anew no longer fits its index. One ``stat`` before each batch, some two microseconds, finds both::

        self._stamp = FileStamp.from_path(path)       # before the file is mapped, or its index read
        ...
        self._stamp.require_unchanged()        # before each batch; ResultsError with `error=ResultsError`

    It is four plain values, which can be pickled; a process that maps the file later compares with the same ones.

    Attributes
    ----------
    path : str
        Of the file, absolute.
    size : int
        Bytes.
    time : int
        Of the last change, in nanoseconds.
    inode : int
        Of the file, which is another one where a new file was moved to the path.

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
        """Return the stamp of a file as it is now; OSError if there is none."""
        status = os.stat(path)
        # Of a relative path the folder may change, and the file be the same.
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ino)

    def require_unchanged(self, error: type[SeqlightError] = InputError) -> None:
        """Raise an error that names the file, unless it is as it was.

        Parameters
        ----------
        error : type of SeqlightError
            What to raise: InputError of what a user passed in, ResultsError of a run's results.
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
