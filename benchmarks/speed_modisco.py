"""Time ``seqlight.seqlets.modisco`` beside modisco-lite 3.0.0 and tangermeme.

Usage: ``python benchmarks/speed_modisco.py [rounds]``. The input is Laplace noise with about four blocks of higher
values in each example. Warm calls take turns in one process; the first call, and its memory beyond the input, are
measured in a process of its own. tangermeme takes long and is timed once for each size.
Needs modisco-lite 3.0.0, and not the package `modisco`, which installs another version under the same name.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from typing import Any

import torch
from harness import count_argument, describe_machine, run_script, time_in_turn, write_results
from seqlet_workload import Caller, measure_first_call, noise_with_blocks, with_threads

SHAPES = ((100, 1000), (1000, 2114), (10_000, 2114))
THREADS = (1, 2)
SLOWEST_ALLOWED = 3.0


def seqlight_call(threads: int) -> Caller:
    from seqlight.seqlets.modisco.caller import tfmodisco_seqlets

    return with_threads(threads, tfmodisco_seqlets)


def modisco_lite_call(threads: int) -> Caller:
    import numba
    from modiscolite.extract_seqlets import extract_seqlets

    numba.set_num_threads(threads)
    return lambda X: extract_seqlets(X, 21, 10, 20, 0.2, 0.03, 0.2, 0.8)[0]


def tangermeme_call(threads: int) -> Caller:
    from tangermeme.seqlet import tfmodisco_seqlets

    return with_threads(threads, lambda X: tfmodisco_seqlets(torch.from_numpy(X)))


CALLERS = {"seqlight": seqlight_call, "modisco-lite": modisco_lite_call, "tangermeme": tangermeme_call}


def time_warm_calls(shape: tuple[int, int], threads: int, rounds: int) -> dict[str, Any]:
    X = noise_with_blocks(shape)
    callers = {name: CALLERS[name](threads) for name in ("seqlight", "modisco-lite")}
    counts = {name: len(call(X)) for name, call in callers.items()}
    if len(set(counts.values())) != 1:
        raise AssertionError(f"not the same seqlets: {counts}")
    timings = time_in_turn({name: lambda call=call: call(X) for name, call in callers.items()}, rounds)
    return {
        "seqlets": counts["seqlight"],
        **{f"{name}_s": one._asdict() for name, one in timings.items()},
        "times_faster_than_modisco_lite": timings["modisco-lite"].median / timings["seqlight"].median,
    }


def main(rounds: int) -> None:
    torch.set_num_threads(max(THREADS))
    machine = {**describe_machine(), "modisco-lite": version("modisco-lite")}
    table: dict[str, Any] = {}
    for shape in SHAPES:
        name = f"{shape[0]} x {shape[1]}"
        row: dict[str, Any] = {}
        for threads in THREADS:
            row[f"threads_{threads}"] = time_warm_calls(shape, threads, rounds)
        row["first_call"] = {
            caller: run_script(__file__, "--first", caller, *shape) for caller in ("seqlight", "modisco-lite")
        }
        X, call = noise_with_blocks(shape), tangermeme_call(max(THREADS))
        start = time.perf_counter()
        call(X)
        row["tangermeme_once_s"] = time.perf_counter() - start
        table[name] = row
        print(name, json.dumps(row), flush=True)
    workload = {"sizes": [list(shape) for shape in SHAPES], "rounds": rounds, "dtype": "float32"}
    print(write_results("speed_modisco", {"workload": workload, "inputs": table}, machine))
    slowest = max(row["seqlight_s"]["median"] for row in (table[f"{n} x {m}"]["threads_2"] for n, m in SHAPES))
    if slowest > SLOWEST_ALLOWED:
        raise SystemExit(f"{slowest:.2f} s, above {SLOWEST_ALLOWED} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--first"]:
        caller, shape = CALLERS[sys.argv[2]](max(THREADS)), (int(sys.argv[3]), int(sys.argv[4]))
        print(json.dumps(measure_first_call(caller, noise_with_blocks(shape))))
    else:
        main(count_argument(7))
