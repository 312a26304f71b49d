"""Progress: a bar where somebody watches, and plain lines, rarely, where stderr goes into a file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

# Seconds between lines.
INTERVAL = 10.0


class Progress(Protocol):
    """What is told of work that goes on, as a context."""

    def update(self, n: int = 1) -> Any:
        """Count what was done since the last time."""

    def close(self) -> Any:
        """Say where it ended."""

    def set_postfix_str(self, text: str, refresh: bool = True) -> Any:
        """Say what is worked on, from the next time on."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        """End."""


def open_progress(total: int | None, unit: str, label: str = "", show: bool = True) -> Progress:
    """Return the progress of some work: a bar on a terminal and in a notebook, else lines without carriage returns.

    Parameters
    ----------
    total : int or None
        How many there are to do; None if that is not known.
    unit : str
        What is counted, in the plural.
    label : str
        Stands before each line.
    show : bool
        If False, nothing is told.
    """
    if show and not _is_watched():
        return ProgressLines(total, unit, label)
    from tqdm.auto import tqdm

    bar: Progress = tqdm(total=total, unit=f" {unit}", desc=label or None, disable=not show)
    return bar


def _is_watched() -> bool:
    """Return whether stderr is a terminal, or a notebook shows it."""
    try:
        return sys.stderr.isatty() or "ipykernel" in sys.modules
    except (AttributeError, ValueError):  # replaced by another object, or closed
        return False


class ProgressLines:
    """Progress as lines on stderr: at most one in ten seconds, and one at the end.

    Parameters
    ----------
    total, unit, label
        As in :func:`open_progress`.
    """

    def __init__(self, total: int | None, unit: str, label: str = "") -> None:
        self.total, self.unit, self.label = total, unit, label
        self.done = 0
        self._begun = self._told = time.monotonic()
        self._closed, self._postfix = False, ""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say where it ended, which may be early."""
        self.close()

    def update(self, n: int = 1) -> None:
        """Count `n` more, and print a line if the last one is long ago."""
        self.done += n
        now = time.monotonic()
        if now - self._told >= INTERVAL and self.done != self.total:
            self._told = now
            self._print(f"{self._rate(now)}{self._left(now)}{self._postfix}")

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Add a text to the lines from now on."""
        self._postfix = f", {text}"

    def close(self) -> None:
        """Print the last line, once; nothing if nothing was done."""
        if not self._closed and self.done:
            now = time.monotonic()
            self._print(f"in {_duration(now - self._begun)}, {self._rate(now)}")
        self._closed = True

    def _print(self, text: str) -> None:
        label = f"{self.label}: " if self.label else ""
        share = f"{100 * self.done // self.total}% " if self.total else ""
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        separator = " " if text.startswith("in ") else ", "
        print(f"{label}{share}{count} {self.unit}{separator}{text}", file=sys.stderr, flush=True)

    def _rate(self, now: float) -> str:
        rate = self.done / max(now - self._begun, 1e-9)
        return f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s"

    def _left(self, now: float) -> str:
        if not self.total or not self.done:
            return ""
        return f", {_duration((now - self._begun) * (self.total - self.done) / self.done)} left"


def _duration(seconds: float) -> str:
    """Return a time in the two units that matter.

    Examples
    --------
    >>> _duration(3.21), _duration(200), _duration(7500)
    ('3.2 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
