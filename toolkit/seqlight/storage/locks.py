"""A lock that ends with the process that holds it, however that ends.

The operating system keeps it (POSIX record locks, which also hold between machines that share a file system), so after
SIGKILL or a loss of power nothing stale is left. A child of the process does not inherit it.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path
from typing import IO

from seqlight.errors import ResultsError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Of this process: the system would let it take the same lock again, and closing either file would end both.
_mine: set[tuple[int, str]] = set()

BUSY = (errno.EACCES, errno.EAGAIN)
# Who asks whether a lock is held holds it for a moment.
TRIALS, PAUSE = 5, 0.02


class Lock:
    """The lock on a file, from :meth:`take` until :meth:`release` or the end of the process.

    Parameters
    ----------
    path : path
        Of the file, which is made if there is none, and stays.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lock = Lock(Path(folder) / "lock")
    ...     lock.take()
    ...     held(Path(folder) / "lock")
    ...     lock.release()
    ...     held(Path(folder) / "lock")
    True
    False
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take the lock; ResultsError, which names the owner, if another process or thread holds it."""
        if self._key in _mine:
            # Not even to read who it is: closing any file of that name ends the lock.
            raise _in_use(self.path, "this process")
        file = self.path.open("a+")
        for _ in range(TRIALS):
            try:
                if fcntl is not None:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in BUSY:
                    # A file system without locks: what then remains is that one does not start a run twice.
                    break
                time.sleep(PAUSE)
        else:
            file.close()
            raise _in_use(self.path, self.path.read_text() or "another process")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        self._file = file
        _mine.add(self._key)

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None
            _mine.discard(self._key)

    @property
    def _key(self) -> tuple[int, str]:
        return os.getpid(), str(self.path.absolute())


def held(path: Path) -> bool:
    """Return whether a process that lives holds the lock; where that cannot be told, True."""
    if (os.getpid(), str(path.absolute())) in _mine:
        return True
    try:
        with path.open("r") as file:
            if fcntl is None:
                return True
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def owner_of(path: Path) -> str:
    """Return who has a lock, in words."""
    try:
        return path.read_text(errors="replace").strip() or path.name
    except OSError:
        return path.name


def _in_use(path: Path, owner: str) -> ResultsError:
    return ResultsError(
        f"{path.parent.parent} is in use by {owner}: wait until that has ended, or give the second run another `out`."
    )
