"""A lock that ends with the process that holds it, however that ends.

The operating system keeps it (POSIX record locks, which also hold between machines that share a file system), so after
SIGKILL or a loss of power nothing stale is left. A child of the process does not inherit it. On a file system that has
no locks a lease stands for it.
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
        """Take the lock; ResultsError, which names the owner, if another process or thread holds it."""
        if self._key in _mine:
            # Not even to read who it is: closing any file of that name ends the lock.
            raise _in_use(self.path, "this process")
        file = self.path.open("a+")
        for _ in range(TRIALS):
            try:
                # A machine on which the file system has no locks may hold a lease beside this one's lock.
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
        """Give the lock back, if it is held."""
        if self._file is not None:
            self._lease.release()
            self._file.close()
            self._file = None
            _mine.discard(self._key)

    @property
    def _key(self) -> tuple[int, str]:
        return os.getpid(), str(self.path.absolute())


def is_held(path: Path) -> bool:
    """Return whether a process that lives holds the lock; where that cannot be told, True."""
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
    """Return who has a lock, in words."""
    try:
        return path.read_text(errors="replace").strip() or "another process"
    except OSError:
        return "another process"


def _in_use(path: Path, owner: str) -> ResultsError:
    return ResultsError(
        f"{path.parent.parent} is in use by {owner}: wait until that has ended, or give the second run another `out`."
    )
