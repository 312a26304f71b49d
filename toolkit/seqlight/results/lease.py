"""A lock for file systems that have none: a file that names its holder, who touches it while alive.

``O_EXCL`` ensures that there is at most one, also on NFS. On the same machine the system tells whether the holder is
alive; otherwise the time of the file does, which the holder renews. So a lease that a process on another machine left
behind expires after two minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

# Seconds between two touches, and seconds without one after which the holder counts as gone: machines can be slow.
BEAT, STALE = 5.0, 120.0
CLOCK = "clock"


class Lease:
    """The lease on a name, from :meth:`take` until :meth:`release` or the end of the process.

    Parameters
    ----------
    path : path
        The lock that it replaces; the lease is a file beside it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lease, other = Lease(Path(folder) / "lock"), Lease(Path(folder) / "lock")
    ...     lease.take(), other.take(), other.is_alive()
    ...     lease.release()
    ...     other.take()
    ...     other.release()
    (True, False, True)
    True
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.lease")
        self._ended: threading.Event | None = None
        self._process = 0

    def take(self) -> bool:
        """Take the lease; return whether it was free."""
        token = uuid.uuid4().hex
        for _ in range(2):
            try:
                file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if self.is_alive():
                    return False
                self._clear()
                continue
            with os.fdopen(file, "w") as opened:
                json.dump({**_who(os.getpid()), "token": token}, opened)
            self._process, self._ended = os.getpid(), threading.Event()
            threading.Thread(target=_touch, args=(self.path, self._ended), daemon=True).start()
            return True
        return False

    def release(self) -> None:
        """Release the lease, if this process holds it."""
        if self._ended is not None and self._process == os.getpid():
            self._ended.set()
            self.path.unlink(missing_ok=True)
        self._ended = None

    def is_alive(self) -> bool:
        """Return whether a running process holds the lease."""
        try:
            touched, content = self.path.stat().st_mtime, self.path.read_bytes()
        except FileNotFoundError:
            return False
        holder = _parse(content)
        here = _who(holder.get("process"))
        if all(holder.get(name) == here[name] for name in ("host", "space")):
            return here["began"] is not None and here["began"] == holder.get("began")
        # The holder is on another machine, or the file is just being written.
        return _now(self.path.parent) - touched < STALE

    def _clear(self) -> None:
        """Move an expired lease out of the way; if another process has just taken it, put that back."""
        before = self._content()
        aside = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(aside)
            if aside.read_bytes() != before:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.path)
            aside.unlink()

    def _content(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None


def _touch(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(content)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _who(process: Any) -> dict[str, Any]:
    """Return what identifies a process: its machine, its PID namespace, its number, and when it began."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return {"host": socket.gethostname(), "space": space, "process": process, "began": _began(process)}


def _began(process: Any) -> str | None:
    """Return when a process of this machine began; None if there is no such process."""
    if not isinstance(process, int):
        return None
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        pass
    if os.name == "nt" or Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(process, 0)
    except PermissionError:
        return "some time"
    except (OSError, OverflowError):
        return None
    return "some time"


def _now(folder: Path) -> float:
    """Return the time on the file system, for the clocks of machines differ."""
    clock = folder / CLOCK
    try:
        clock.touch()
        return clock.stat().st_mtime
    except OSError:
        return (folder / ".").stat().st_mtime
