"""Let each process of a run notice soon that another one has ended too early.

If a process dies, launchers end the others, but not all of them, not always, and not while these wait in a collective
call. So each process holds a lock while it lives and checks that of its neighbour, and one that stops on purpose
leaves a note. No process waits for a slower one in a collective call, because those time out and work does not.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException

from seqlight.errors import ResultsError
from seqlight.results.file_lock import Lock, is_held
from seqlight.results.run_folder import LOCKS, lock_path

# Seconds between checks of the other processes, and between checks for missing shards at the end.
CHECK_INTERVAL, POLL_INTERVAL = 1.0, 0.1
STOP_NOTE = "stopped"


class Watchdog:
    """Watches the other processes of a run, for one of them.

    Parameters
    ----------
    folder : path
        The folder of the results, which all processes share.
    rank, world : int
        Which process this is, and how many there are.
    lock : Lock
        The lock that this process holds.
    """

    def __init__(self, folder: Path, rank: int, world: int, lock: Lock) -> None:
        self.folder, self.rank, self.world, self.lock = folder, rank, world, lock
        self._neighbour = lock_path(folder, (rank + 1) % world)
        self._note = folder / LOCKS / STOP_NOTE
        self._terminated, self._checked = False, 0.0
        # On file systems whose locks do not reach other machines, there are only notes and launchers.
        self._watched = world > 1 and is_held(self._neighbour)

    def require_shared_folder(self) -> None:
        """Raise ResultsError if the files of other processes are not visible here."""
        if not self._neighbour.exists():
            raise ResultsError(
                f"process {self.rank} does not see in {self.folder} what another process wrote: expected a folder on a "
                "file system that all machines of the run share."
            )

    def catch_sigterm(self) -> None:
        """Handle SIGTERM from now on: with a Trainer's own handler, a process goes on, or waits for the others."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def check(self, done: Callable[[], bool]) -> None:
        """Raise if this process received SIGTERM, or if another one ended before all is `done`."""
        if self._terminated:
            raise SIGTERMException(128 + signal.SIGTERM)
        if time.monotonic() - self._checked < CHECK_INTERVAL or self.world == 1:
            return
        self._checked = time.monotonic()
        alarm = None
        if self._note.exists():
            alarm = f"all processes stop, for one did: {self._note.read_text()}"
        elif self._watched and not is_held(self._neighbour):
            alarm = f"process {(self.rank + 1) % self.world} of {self.world} was killed, so all stop."
        # Asked last: the others end when all is done, perhaps because of what this process wrote a moment ago.
        if alarm is not None and not done():
            raise ResultsError(alarm)

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until `done`; raise if another process ends before that."""
        while not done():
            self.check(done)
            time.sleep(POLL_INTERVAL)

    def stop(self, reason: str) -> None:
        """Tell the other processes to stop, and release the lock."""
        # On a full disk there is no note; then the released lock tells them.
        with contextlib.suppress(OSError):
            if self.world > 1 and not self._note.exists():
                self._note.write_text(f"process {self.rank} of {self.world}: {reason}")
        self.lock.release()

    def _on_sigterm(self, *_: Any) -> None:
        self._terminated = True
