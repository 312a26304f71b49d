"""Time the sequence operations beside tangermeme's, and the first call in a new process.

Usage: ``python benchmarks/speed_sequences.py [rounds]``; needs the extra ``bench``. The workload is
1,000 sequences of 2,114 characters, with 20 shuffles each. Both draw from the same random streams, and
their results must be equal.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from harness import Timing, count_argument, describe_machine, time_in_turn, write_results
from tangermeme import ersatz, utils

import seqlight as sl

ROWS, LENGTH, N, THREADS = 1000, 2114, 20, 2
PROBS = np.array([[0.1, 0.2, 0.3, 0.4]])

# Prints the seconds to import torch, and the seconds from there to the result of the first call.
FIRST_CALL = """
import time
start = time.perf_counter()
import torch
torch.set_num_threads({threads})
imported = time.perf_counter()
{imports}
codes = torch.randint(4, ({rows}, {length}), generator=torch.Generator().manual_seed(0))
X = torch.nn.functional.one_hot(codes, 4).transpose(1, 2).to(torch.int8).contiguous()
result = dinucleotide_shuffle(X, n={n}, random_state=0)
print(imported - start, time.perf_counter() - imported)
"""
IMPORTS = {
    "seqlight": "from seqlight import dinucleotide_shuffle",
    "tangermeme": "from tangermeme.ersatz import dinucleotide_shuffle",
}

Pair = dict[str, Callable[[], Any]]


def make_calls() -> dict[str, Pair]:
    X = sl.random_one_hot((ROWS, 4, LENGTH), random_state=0)
    several = sl.characters(X)
    return {
        "dinucleotide_shuffle": {
            "seqlight": lambda: sl.dinucleotide_shuffle(X, end=None, n=N, random_state=0),
            "tangermeme": lambda: ersatz.dinucleotide_shuffle(X, end=LENGTH, n=N, random_state=0),
        },
        "shuffle": {
            "seqlight": lambda: sl.shuffle(X, n=N, random_state=0),
            "tangermeme": lambda: ersatz.shuffle(X, n=N, random_state=0),
        },
        "randomize": {
            "seqlight": lambda: sl.randomize(X, 0, LENGTH, n=N, random_state=0),
            "tangermeme": lambda: ersatz.randomize(X, 0, LENGTH, n=N, random_state=0),
        },
        "one_hot_encode, a batch": {
            "seqlight": lambda: sl.one_hot_encode(several),
            "tangermeme": lambda: torch.stack([utils.one_hot_encode(one) for one in several]),
        },
        "one_hot_encode, one by one": {
            "seqlight": lambda: [sl.one_hot_encode(one) for one in several],
            "tangermeme": lambda: [utils.one_hot_encode(one) for one in several],
        },
        "random_one_hot": {
            "seqlight": lambda: sl.random_one_hot((ROWS, 4, LENGTH), random_state=0),
            "tangermeme": lambda: utils.random_one_hot((ROWS, 4, LENGTH), random_state=0),
        },
        "random_one_hot, with probabilities": {
            "seqlight": lambda: sl.random_one_hot((ROWS, 4, LENGTH), PROBS, random_state=0),
            "tangermeme": lambda: utils.random_one_hot((ROWS, 4, LENGTH), PROBS, random_state=0),
        },
    }


def are_equal(calls: Pair) -> bool:
    # Strides may differ, for tangermeme returns transposed views.
    ours, theirs = (call() for call in calls.values())
    if isinstance(ours, list):
        return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    return torch.equal(ours, theirs)


def time_first_calls(rounds: int) -> dict[str, dict[str, float]]:
    """Return seconds of the first call, with all imports but that of torch, in fresh processes: least and most."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, imports in IMPORTS.items():
            program = FIRST_CALL.format(threads=THREADS, imports=imports, rows=ROWS, length=LENGTH, n=N)
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            found[name].append(float(done.stdout.split()[1]))
    return {name: {"least": min(taken), "most": max(taken)} for name, taken in found.items()}


def table_row(timings: dict[str, Timing], same: bool) -> dict[str, Any]:
    ours, theirs = timings["seqlight"], timings["tangermeme"]
    return {
        "seqlight_s": ours._asdict(),
        "tangermeme_s": theirs._asdict(),
        "times_faster": theirs.ratio(ours),
        "results_equal": same,
    }


def main(rounds: int) -> None:
    torch.set_num_threads(THREADS)
    machine = describe_machine()
    table = {}
    for name, calls in make_calls().items():
        same = are_equal(calls)
        if not same:
            raise AssertionError(f"{name}: the results differ")
        table[name] = table_row(time_in_turn(calls, rounds), same)
        ratio = table[name]["times_faster"]
        print(f"{name:36} {ratio['least']:6.2f} times faster ({ratio['median']:.2f} by medians)")
    first = time_first_calls(max(2, rounds // 3))
    print("first call beyond import torch:", {name: round(taken["least"], 2) for name, taken in first.items()})
    workload = {"sequences": ROWS, "length": LENGTH, "n": N, "rounds": rounds}
    results = {"workload": workload, "operations": table, "first_call_s": first}
    print(write_results("speed_sequences", results, machine))


if __name__ == "__main__":
    main(count_argument(9))
