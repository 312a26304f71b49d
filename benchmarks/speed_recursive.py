"""Time ``seqlight.seqlets.recursive`` beside tangermeme.

Usage: ``python benchmarks/speed_recursive.py [rounds]``. The input is Laplace noise with about four blocks of higher
values in each example. Warm calls take turns in one process: of the positive side, which is all that tangermeme
calls, and ours of both sides too. First calls, without imports, are timed in processes of their own.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import numpy as np
import torch
from harness import count_argument, describe_machine, run_script, time_in_turn, write_results
from numpy.typing import NDArray
from seqlet_workload import Caller, measure_first_call, noise_with_blocks, with_threads

SHAPE = (10_000, 2114)
THREADS = (1, 2)
FIRST_CALLS = 3
SPAN = ["example_idx", "start", "end"]


def seqlight_call(threads: int) -> Caller:
    from seqlight.seqlets.recursive.caller import recursive_seqlets

    return with_threads(threads, lambda X: recursive_seqlets(X, sign="positive"))


def both_sides_call(threads: int) -> Caller:
    from seqlight.seqlets.recursive.caller import recursive_seqlets

    return with_threads(threads, recursive_seqlets)


def tangermeme_call(threads: int) -> Caller:
    import numba
    from tangermeme.seqlet import recursive_seqlets

    numba.set_num_threads(threads)
    return recursive_seqlets


CALLERS = {"seqlight": seqlight_call, "seqlight_both_sides": both_sides_call, "tangermeme": tangermeme_call}


def first_call(caller: str) -> dict[str, float]:
    """Return median seconds, and megabytes beyond the input, of the first calls of several fresh processes."""
    found = [run_script(__file__, "--first", caller) for _ in range(FIRST_CALLS)]
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def time_warm_calls(X: NDArray[np.float32], threads: int, rounds: int) -> dict[str, Any]:
    callers = {name: make(threads) for name, make in CALLERS.items()}
    tables = {name: call(X)[SPAN].sort_values(SPAN).reset_index(drop=True) for name, call in callers.items()}
    if not tables["seqlight"].equals(tables["tangermeme"]):
        raise AssertionError("not the same seqlets")
    timings = time_in_turn({name: lambda call=call: call(X) for name, call in callers.items()}, rounds)
    return {
        "seqlets": {name: len(table) for name, table in tables.items()},
        **{f"{name}_s": one._asdict() for name, one in timings.items()},
        "times_faster_than_tangermeme": timings["tangermeme"].median / timings["seqlight"].median,
    }


def main(rounds: int) -> None:
    torch.set_num_threads(max(THREADS))
    machine, X = describe_machine(), noise_with_blocks(SHAPE)
    warm = {f"threads_{threads}": time_warm_calls(X, threads, rounds) for threads in THREADS}
    first = {caller: first_call(caller) for caller in CALLERS}
    workload = {"size": list(SHAPE), "rounds": rounds, "dtype": "float32", "first_calls": FIRST_CALLS}
    results = {"workload": workload, "warm": warm, "first_call": first}
    print(json.dumps(results, indent=1))
    print(write_results("speed_recursive", results, machine))
    if first["seqlight"]["seconds"] > 0.5 or warm["threads_2"]["times_faster_than_tangermeme"] < 2:
        raise SystemExit(
            "slower than required: a first call in 0.5 s, warm calls twice as fast as tangermeme on two threads"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--first"]:
        print(json.dumps(measure_first_call(CALLERS[sys.argv[2]](max(THREADS)), noise_with_blocks(SHAPE))))
    else:
        main(count_argument(7))
