"""Time ``seqlight.seqlets.modisco`` beside modisco-lite 3.0.0 and tangermeme.

Usage: ``python benchmarks/speed_modisco.py [rounds]``. Laplace noise with some four blocks of higher
values an example. Warm calls, in turn, in one process; the first call and the memory that it takes
beyond the input, each in a process of its own. tangermeme is timed once a size: it takes long.
Needs modisco-lite 3.0.0; the package `modisco` installs another version under the same name.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import machine, measure, write
from numpy.typing import NDArray

SHAPES = ((100, 1000), (1000, 2114), (10_000, 2114))
THREADS = (1, 2)
SLOWEST_ALLOWED = 3.0


def track(shape: tuple[int, int]) -> NDArray[np.float32]:
    rng = np.random.RandomState(0)
    X = rng.laplace(size=shape).astype(np.float32)
    for row in X:
        for start in rng.randint(0, shape[1] - 10, rng.poisson(4)):
            row[start : start + 10] += rng.uniform(1, 4)
    return X


def seqlight_call(threads: int) -> Callable[[NDArray[np.float32]], Any]:
    from seqlight.seqlets.modisco.caller import tfmodisco_seqlets

    def run(X: NDArray[np.float32]) -> Any:
        torch.set_num_threads(threads)  # before each call: numba, between them, sets the same number
        return tfmodisco_seqlets(X)

    return run


def modisco_lite_call(threads: int) -> Callable[[NDArray[np.float32]], Any]:
    import numba
    from modiscolite.extract_seqlets import extract_seqlets

    numba.set_num_threads(threads)
    return lambda X: extract_seqlets(X, 21, 10, 20, 0.2, 0.03, 0.2, 0.8)[0]


def tangermeme_call(threads: int) -> Callable[[NDArray[np.float32]], Any]:
    from tangermeme.seqlet import tfmodisco_seqlets

    def run(X: NDArray[np.float32]) -> Any:
        torch.set_num_threads(threads)
        return tfmodisco_seqlets(torch.from_numpy(X))

    return run


CALLERS = {"seqlight": seqlight_call, "modisco-lite": modisco_lite_call, "tangermeme": tangermeme_call}


def first_call(caller: str, shape: tuple[int, int]) -> dict[str, float]:
    """Return seconds, imports apart, and megabytes beyond what was held before, of a fresh process."""
    command = [sys.executable, __file__, "--first", caller, *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def in_fresh_process(caller: str, shape: tuple[int, int]) -> None:
    X, call = track(shape), CALLERS[caller](max(THREADS))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory("VmRSS")
    start = time.perf_counter()
    call(X)
    taken = time.perf_counter() - start
    print(json.dumps({"seconds": taken, "peak_megabytes_beyond_the_input": round(memory("VmHWM") - before, 1)}))


def memory(field: str) -> float:
    """Return megabytes from Linux's own account of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def timed(shape: tuple[int, int], threads: int, rounds: int) -> dict[str, Any]:
    X = track(shape)
    callers = {name: CALLERS[name](threads) for name in ("seqlight", "modisco-lite")}
    counts = {name: len(call(X)) for name, call in callers.items()}
    if len(set(counts.values())) != 1:
        raise AssertionError(f"not the same seqlets: {counts}")
    timings = measure({name: lambda call=call: call(X) for name, call in callers.items()}, rounds)
    return {
        "seqlets": counts["seqlight"],
        **{f"{name}_s": {"least": one.least, "median": one.median} for name, one in timings.items()},
        "times_faster_than_modisco_lite": timings["modisco-lite"].median / timings["seqlight"].median,
    }


def main(rounds: int) -> None:
    torch.set_num_threads(max(THREADS))
    where = {**machine(), "modisco-lite": version("modisco-lite")}
    table: dict[str, Any] = {}
    for shape in SHAPES:
        name = f"{shape[0]} x {shape[1]}"
        row: dict[str, Any] = {}
        for threads in THREADS:
            row[f"threads_{threads}"] = timed(shape, threads, rounds)
        row["first_call"] = {caller: first_call(caller, shape) for caller in ("seqlight", "modisco-lite")}
        X, call = track(shape), tangermeme_call(max(THREADS))
        start = time.perf_counter()
        call(X)
        row["tangermeme_once_s"] = time.perf_counter() - start
        table[name] = row
        print(name, json.dumps(row), flush=True)
    workload = {"sizes": [list(shape) for shape in SHAPES], "rounds": rounds, "dtype": "float32"}
    print(write("speed_modisco", {"workload": workload, "inputs": table}, where))
    slowest = max(row["seqlight_s"]["median"] for row in (table[f"{n} x {m}"]["threads_2"] for n, m in SHAPES))
    if slowest > SLOWEST_ALLOWED:
        raise SystemExit(f"{slowest:.2f} s, above {SLOWEST_ALLOWED} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--first"]:
        in_fresh_process(sys.argv[2], (int(sys.argv[3]), int(sys.argv[4])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
