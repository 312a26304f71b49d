"""The processes of a run, which learn soon when another has ended before its time.

Launchers end the others when one dies, but not all of them, not always, and not while those wait in a collective call.
So each process holds a lock while it lives and looks at its neighbour's, and one that stops on purpose leaves a note.
Nobody waits in a collective call for a slower process: those have a time limit, and work has none.
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

# Seconds between looks at the others, and between looks at what is still missing at the end.
EVERY, PAUSE = 1.0, 0.1
NOTE = "stopped"


class Peers:
    """One process among those of a run: the one that asks.

    Parameters
    ----------
    folder : path
        Of the results, which all share.
    rank, world : int
        Which process this is, and how many there are.
    lock : Lock
        That this one holds.
    """

    def __init__(self, folder: Path, rank: int, world: int, lock: Lock) -> None:
        self.folder, self.rank, self.world, self.lock = folder, rank, world, lock
        self._neighbour = lock_path(folder, (rank + 1) % world)
        self._note = folder / LOCKS / NOTE
        self._told, self._looked = False, 0.0
        # On file systems where locks do not reach other machines, only notes and launchers tell.
        self._watched = world > 1 and is_held(self._neighbour)

    def require_shared_folder(self) -> None:
        """Raise ResultsError if the files of other processes cannot be seen here."""
        if not self._neighbour.exists():
            raise ResultsError(
                f"process {self.rank} does not see in {self.folder} what another process wrote: expected a folder on a "
                "file system that all machines of the run share."
            )

    def listen(self) -> None:
        """Take note of SIGTERM from now on: a Trainer alone would go on, or wait for the others in its handler."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._hear)

    def check(self, done: Callable[[], bool]) -> None:
        """Raise if this process was told to stop, or another one has ended before all is `done`."""
        if self._told:
            raise SIGTERMException(128 + signal.SIGTERM)
        if time.monotonic() - self._looked < EVERY or self.world == 1:
            return
        self._looked = time.monotonic()
        alarm = None
        if self._note.exists():
            alarm = f"all processes stop, for one did: {self._note.read_text()}"
        elif self._watched and not is_held(self._neighbour):
            alarm = f"process {(self.rank + 1) % self.world} of {self.world} was killed, so all stop."
        # Asked last: the others end when all is done, which may be because of what was written here a moment ago.
        if alarm is not None and not done():
            raise ResultsError(alarm)

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until `done`; raise if another process ends before that."""
        while not done():
            self.check(done)
            time.sleep(PAUSE)

    def stop(self, reason: str) -> None:
        """Tell the others to stop, and no longer hold the folder."""
        # On a disk that is full there is no note: then the lock tells.
        with contextlib.suppress(OSError):
            if self.world > 1 and not self._note.exists():
                self._note.write_text(f"process {self.rank} of {self.world}: {reason}")
        self.lock.release()

    def _hear(self, *_: Any) -> None:
        self._told = True
