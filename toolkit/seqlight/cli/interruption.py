"""SIGINT and SIGTERM while a command runs: it ends in an orderly way, and says whether the same command goes on."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

STATUS = 130
# Of Lightning, where SIGTERM ended a run.
TERMINATED = 128 + signal.SIGTERM

# What is said, by command.
KEPT = "what is finished is kept, and the same command goes on from there"
RESUMED = dict.fromkeys(("predict", "attribute", "track", "study"), KEPT) | {
    "fit": "the same command with --ckpt_path last goes on from the last checkpoint, or names the newest"
}
ANEW = "the same command starts anew"


class Interruption:
    """Turns both signals into KeyboardInterrupt, and remembers that there was one: a library may end the process first.

    Outside of the main thread, and for a signal that the process was started to ignore (``nohup``, ``&``), it does
    nothing.
    """

    def __init__(self) -> None:
        self.happened = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals."""
        if threading.current_thread() is threading.main_thread():
            for one in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(one) is not signal.SIG_IGN:
                    self._before[one] = signal.signal(one, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        raise KeyboardInterrupt

    def ended(self, error: BaseException) -> bool:
        """Return whether this is how an interrupted command ends, here or in a library that handles signals itself."""
        terminated = isinstance(error, SystemExit) and error.code == TERMINATED
        return self.happened or isinstance(error, KeyboardInterrupt) or terminated


def describe_interruption(command: str) -> str:
    """Return what is said of an interrupted command.

    Examples
    --------
    >>> describe_interruption("report")
    'interrupted; the same command starts anew.'
    """
    return f"interrupted; {RESUMED.get(command, ANEW)}."
