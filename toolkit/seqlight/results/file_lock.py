"""A lock that ends with the process that holds it, however that ends.

The operating system keeps it (POSIX record locks, which also work between machines that share a file system), so
nothing stale is left after SIGKILL or a power failure. A child process does not inherit it. On a file system without
locks a lease takes its place.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path
from typing import IO

from seqlight.errors import ResultsError
from seqlight.results.lease import Lease

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# The locks of this process: the system would let it take the same one again, and closing either file would end both.
_mine: set[tuple[int, str]] = set()

BUSY = (errno.EACCES, errno.EAGAIN)
# Asking whether a lock is held takes it for a moment, so that it is tried again.
TRIALS, PAUSE = 5, 0.02


class Lock:
    """The lock on a file, from :meth:`take` until :meth:`release` or the end of the process.

    Parameters
    ----------
    path : path
        The file, which is made if there is none, and stays.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lock = Lock(Path(folder) / "lock")
    ...     lock.take()
    ...     is_held(Path(folder) / "lock")
    ...     lock.release()
    ...     is_held(Path(folder) / "lock")
    True
    False
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._lease = Lease(path)

    def take(self) -> None:
        """Take the lock; ResultsError, with the name of its owner, if another process or thread holds it."""
        if self._key in _mine:
            # The file is not even opened to read the owner: closing any handle of it would end the lock.
            raise _in_use(self.path, "this process")
        file = self.path.open("a+")
        for _ in range(TRIALS):
            try:
                # Another machine, on which the file system has no locks, may hold a lease.
                free = not self._lease.is_alive() if _locked(file, exclusive=True) else self._lease.take()
                break
            except BlockingIOError:
                time.sleep(PAUSE)
        else:
            free = False
        if not free:
            file.close()
            raise _in_use(self.path, lock_owner(self.path))
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        self._file = file
        _mine.add(self._key)

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._file is not None:
            self._lease.release()
            self._file.close()
            self._file = None
            _mine.discard(self._key)

    @property
    def _key(self) -> tuple[int, str]:
        return os.getpid(), str(self.path.absolute())


def is_held(path: Path) -> bool:
    """Return whether a running process holds the lock; True if that cannot be told."""
    if (os.getpid(), str(path.absolute())) in _mine:
        return True
    try:
        with path.open("r") as file:
            _locked(file, exclusive=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return Lease(path).is_alive()


def _locked(file: IO[str], exclusive: bool) -> bool:
    """Lock a file; return whether the file system has locks. BlockingIOError if another process has it."""
    if fcntl is None:
        return False
    try:
        fcntl.lockf(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in BUSY:
            raise BlockingIOError(*error.args) from None
        return False
    return True


def lock_owner(path: Path) -> str:
    """Return who holds a lock, in words."""
    try:
        return path.read_text(errors="replace").strip() or "another process"
    except OSError:
        return "another process"


def _in_use(path: Path, owner: str) -> ResultsError:
    return ResultsError(
        f"{path.parent.parent} is in use by {owner}: wait until that has ended, or give this run another `out`."
    )
