"""What benchmarks share: interleaved timing, fresh processes, the machine, and results as JSON."""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqlight.studies.provenance import cpu_name

RESULTS = Path(__file__).parent / "results"


class Timing(NamedTuple):
    """Seconds of one callable over all rounds."""

    least: float
    median: float

    @classmethod
    def of_seconds(cls, seconds: Sequence[float]) -> Timing:
        """Summarize the seconds of all rounds."""
        return cls(min(seconds), statistics.median(seconds))

    def ratio(self, other: Timing) -> dict[str, float]:
        """Return this timing over another one, least over least and median over median."""
        return {"least": self.least / other.least, "median": self.median / other.median}


def time_in_turn(
    calls: dict[str, Callable[[], Any]], rounds: int = 7, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Time callables in turn, so that whatever else the machine does affects all of them alike.

    Each is called once to warm up, then all of them in every round. With one thread, ``time.process_time`` as `clock`
    leaves out what the machine does meanwhile.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            gc.collect()
            start = clock()
            result = call()
            seconds[name].append(clock() - start)
            del result
    return {name: Timing.of_seconds(taken) for name, taken in seconds.items()}


def run_script(script: str, *arguments: Any, timeout: float | None = None) -> Any:
    """Run a script in a fresh process and return what its last line of output holds as JSON."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout)
    return json.loads(done.stdout.splitlines()[-1])


def make_parser(description: str | None, command: str = "") -> argparse.ArgumentParser:
    """Return a parser whose help is a script's docstring, for the script itself or for one command of it."""
    prog = f"{Path(sys.argv[0]).name} {command}".strip()
    return argparse.ArgumentParser(prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def count_argument(default: int, position: int = 1) -> int:
    """Return an argument of the command line as an integer, such as the number of rounds."""
    return int(sys.argv[position]) if len(sys.argv) > position else default


def process_memory(field: str) -> int:
    """Return the bytes in a field of Linux's own account of this process, such as VmRSS, VmHWM or RssAnon."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def describe_machine() -> dict[str, Any]:
    """Return the processor, the system and the versions that numbers are measured with."""
    import torch

    return {
        "cpu": cpu_name(),
        "registers": vector_registers(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy", "numba", "tangermeme")},
    }


def vector_registers() -> str:
    """Return the widest registers that PyTorch uses on this machine: avx512, avx2 or another."""
    import torch

    return torch.backends.cpu.get_cpu_capability().lower()


def read_results(name: str) -> dict[str, Any]:
    """Return the contents of ``results/<name>.json``."""
    results: dict[str, Any] = json.loads(_path(name).read_text(encoding="utf-8"))
    return results


def write_results(name: str, results: dict[str, Any], machine: dict[str, Any]) -> Path:
    """Write the machine and the results into ``results/<name>.json``."""
    return _write(name, {"machine": machine, **results})


def write_agreement(name: str, question: str, found: dict[str, Any], packages: Iterable[str]) -> Path:
    """Write a question, what was found and the versions of these packages into ``results/<name>.json``."""
    versions = {package: importlib.metadata.version(package) for package in packages}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return _write(name, {"question": question, **found, "versions": versions, "machine": machine})


def _write(name: str, contents: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = _path(name)
    path.write_text(json.dumps(contents, indent=2) + "\n")
    return path


def _path(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
