"""Time several callables in turn, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

RESULTS = Path(__file__).parent / "results"


class Timing(NamedTuple):
    """Seconds of one callable over all rounds."""

    least: float
    median: float


def measure(calls: dict[str, Callable[[], Any]], rounds: int = 7) -> dict[str, Timing]:
    """Call each of `calls` once to warm up, then all of them in turn for some rounds."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            gc.collect()
            start = time.perf_counter()
            result = call()
            seconds[name].append(time.perf_counter() - start)
            del result
    return {name: Timing(min(taken), statistics.median(taken)) for name, taken in seconds.items()}


def machine() -> dict[str, Any]:
    """Say what the numbers were measured on."""
    names = ("torch", "numpy", "numba", "tangermeme")
    return {
        "cpu": _cpu(),
        "registers": registers(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in names},
    }


def registers() -> str:
    """Return the widest registers that PyTorch uses here: avx512, avx2 or another."""
    return torch.backends.cpu.get_cpu_capability().lower()


def write(name: str, results: dict[str, Any], where: dict[str, Any]) -> Path:
    """Write `results` and the machine `where` they were measured into ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": where, **results}, indent=2) + "\n")
    return path


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
