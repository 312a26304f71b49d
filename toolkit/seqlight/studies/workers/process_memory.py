"""How much memory a process holds, and held at most."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

MIB = 2**20


class PeakMemory:
    """The most memory that this process holds from here on, beyond what it holds now.

    On Linux the kernel counts it, so that the shortest peak is seen; elsewhere it is None.
    """

    def __init__(self) -> None:
        self._base = psutil.Process().memory_info().rss
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is held now
            self._counted = True
        except OSError:
            self._counted = False

    def mib(self) -> float | None:
        """Return the peak in MiB."""
        if not self._counted:
            return None
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
        return float(max(0, peak - self._base) / MIB)


def resident_mib(process: psutil.Process, *, with_children: bool) -> float:
    """Return how much memory a process holds, in MiB; 0 if it has ended.

    Parameters
    ----------
    process : psutil.Process
    with_children : bool
        Whether to add what its children hold; to find them takes milliseconds.
    """
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [process, *(process.children(recursive=True) if with_children else ())]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total / MIB


def free_mib() -> float:
    """Return how much memory the machine can still give without swapping, in MiB."""
    return float(psutil.virtual_memory().available) / MIB
