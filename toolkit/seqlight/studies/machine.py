"""The machine that a study runs on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def describe_machine(threads: int) -> dict[str, Any]:
    """Return the processor, the number of its cores, the system and Python.

    Parameters
    ----------
    threads : int
        Threads of PyTorch in each process.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_name(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "threads": threads,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
