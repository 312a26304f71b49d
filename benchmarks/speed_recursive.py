"""Time ``seqlight.seqlets.recursive`` beside tangermeme.

Usage: ``python benchmarks/speed_recursive.py [rounds]``. Laplace noise with some four blocks of higher
values an example. Warm calls, in turn, in one process, of the positive side, which is all that tangermeme
calls; ours of both sides too. The first call, imports apart, each in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import machine, measure, write
from numpy.typing import NDArray

SHAPE = (10_000, 2114)
THREADS = (1, 2)
FIRST_CALLS = 3
SPAN = ["example_idx", "start", "end"]

Caller = Callable[[NDArray[np.float32]], Any]


def track() -> NDArray[np.float32]:
    rng = np.random.RandomState(0)
    X = rng.laplace(size=SHAPE).astype(np.float32)
    for row in X:
        for start in rng.randint(0, SHAPE[1] - 10, rng.poisson(4)):
            row[start : start + 10] += rng.uniform(1, 4)
    return X


def seqlight_call(threads: int) -> Caller:
    from seqlight.seqlets.recursive.caller import recursive_seqlets

    return _in_threads(threads, lambda X: recursive_seqlets(X, sign="positive"))


def both_sides_call(threads: int) -> Caller:
    from seqlight.seqlets.recursive.caller import recursive_seqlets

    return _in_threads(threads, recursive_seqlets)


def _in_threads(threads: int, call: Caller) -> Caller:
    def run(X: NDArray[np.float32]) -> Any:
        torch.set_num_threads(threads)  # before each call: numba, between them, sets the same number
        return call(X)

    return run


def tangermeme_call(threads: int) -> Caller:
    import numba
    from tangermeme.seqlet import recursive_seqlets

    numba.set_num_threads(threads)
    return recursive_seqlets


CALLERS = {"seqlight": seqlight_call, "seqlight_both_sides": both_sides_call, "tangermeme": tangermeme_call}


def first_call(caller: str) -> dict[str, float]:
    """Return the median seconds, and megabytes beyond the input, of the first call of fresh processes."""
    found = []
    for _ in range(FIRST_CALLS):
        done = subprocess.run([sys.executable, __file__, "--first", caller], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def in_fresh_process(caller: str) -> None:
    X, call = track(), CALLERS[caller](max(THREADS))
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


def timed(X: NDArray[np.float32], threads: int, rounds: int) -> dict[str, Any]:
    callers = {name: make(threads) for name, make in CALLERS.items()}
    tables = {name: call(X)[SPAN].sort_values(SPAN).reset_index(drop=True) for name, call in callers.items()}
    if not tables["seqlight"].equals(tables["tangermeme"]):
        raise AssertionError("not the same seqlets")
    timings = measure({name: lambda call=call: call(X) for name, call in callers.items()}, rounds)
    return {
        "seqlets": {name: len(table) for name, table in tables.items()},
        **{f"{name}_s": {"least": one.least, "median": one.median} for name, one in timings.items()},
        "times_faster_than_tangermeme": timings["tangermeme"].median / timings["seqlight"].median,
    }


def main(rounds: int) -> None:
    torch.set_num_threads(max(THREADS))
    where, X = machine(), track()
    warm = {f"threads_{threads}": timed(X, threads, rounds) for threads in THREADS}
    first = {caller: first_call(caller) for caller in CALLERS}
    workload = {"size": list(SHAPE), "rounds": rounds, "dtype": "float32", "first_calls": FIRST_CALLS}
    results = {"workload": workload, "warm": warm, "first_call": first}
    print(json.dumps(results, indent=1))
    print(write("speed_recursive", results, where))
    if first["seqlight"]["seconds"] > 0.5 or warm["threads_2"]["times_faster_than_tangermeme"] < 2:
        raise SystemExit(
            "slower than it must be: a first call in 0.5 s, warm twice as fast as tangermeme on two threads"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--first"]:
        in_fresh_process(sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
