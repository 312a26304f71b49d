"""What a study runs on, and the line that runs it again."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
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
        "cpu": cpu_name(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "threads": threads,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def command_line(argv: Sequence[str]) -> str:
    """Return the line that runs the study again; "" if it was started from a notebook or another program."""
    name = Path(argv[0]).name
    if name not in ("seqlight", "seqlight.exe"):
        script = getattr(sys.modules["__main__"], "__file__", None)
        if script is None or Path(script).resolve() != Path(argv[0]).resolve() or "site-packages" in script:
            return ""
        name = f"python {shlex.quote(argv[0])}"
    return " ".join([name, *map(shlex.quote, argv[1:])])


def cpu_name() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
