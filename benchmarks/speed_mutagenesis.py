"""Time ``seqlight.saturation_mutagenesis`` beside tangermeme and a loop written by hand.

Usage: ``python benchmarks/speed_mutagenesis.py [rounds]``; two rounds take some three minutes. All predict every
mutant of the same sequences in float32, with one thread; seconds are those of the processor. "in_full" is seqlight
computing each mutant in full, where by itself it computes what a substitution changes. The loop predicts every letter
at every position, the letter of the sequence included. tangermeme's fast path computes only what a mutation reaches,
after Nair et al. (2022); its default takes it in jobs that it estimates at more than 30 seconds, and
"tangermeme_fast" always takes it. It captures the model first, which takes about a second whatever the job is. So what
each further sequence of a call takes is measured beside: a quarter of the difference between five sequences and one.
The job "small" is one where nothing can be saved.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, cast

import torch
from harness import Timing, count_argument, describe_machine, time_in_turn, write_results
from networks import basset_like, bpnet_like, mixed
from torch import Tensor, nn

from seqlight import random_one_hot
from seqlight.attribution.methods import changed_mutants
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis

BATCH, DISTANCE = 32, 4
ALL = "seqlight in_full tangermeme_fast"
# How to make each model, sequences and positions, the region, how often in a round, and what to time: seqlight first.
JOBS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int], int, int, int, str]] = {
    "short": (basset_like, (2, 600), 280, 320, 1, f"{ALL} tangermeme_fast_false by_hand"),
    "basset-like": (basset_like, (1, 600), 0, 600, 1, ALL),
    "bpnet-like": (bpnet_like, (1, 2114), 900, 1200, 1, ALL),
    "pairs": (basset_like, (1, 600), 290, 310, 1, "pairs pairs_in_full"),
    "small": (mixed, (1, 200), 0, 200, 10, "seqlight in_full"),
}
# Of these jobs, what each further sequence takes where a call has so many.
FURTHER, MANY = ("basset-like", "bpnet-like"), 5
# Imported by its path, since the package has a function of this name too.
tangermeme: Any = import_module("tangermeme.saturation_mutagenesis")


def predict_by_hand(model: nn.Module, X: Tensor, start: int, end: int) -> Tensor:
    """Return the result of a careful user's loop: all letters at all positions, one sequence after the other."""
    found = []
    with torch.inference_mode():
        for x in X:
            mutants = x.repeat(4 * (end - start), 1, 1)
            for k in range(4 * (end - start)):
                mutants[k, :, start + k // 4] = torch.eye(4, dtype=x.dtype)[k % 4]
            found.append(torch.cat([model(batch.float())[:, 0] for batch in mutants.split(BATCH)]).view(-1, 4).T)
    y = torch.stack(found)
    return (y - y.mean(dim=1, keepdim=True)) * X[:, :, start:end]


def tangermeme_fast(model: nn.Module, X: Tensor, **settings: Any) -> Tensor:
    """Return the result of tangermeme's fast path, however short the job."""
    before = tangermeme._FAST_MIN_SECONDS
    tangermeme._FAST_MIN_SECONDS = 0.0
    try:
        return tangermeme.saturation_mutagenesis(model, X, **settings)
    finally:
        tangermeme._FAST_MIN_SECONDS = before


def in_full(model: nn.Module, X: Tensor, **settings: Any) -> Tensor:
    """Return the result of seqlight where it computes each mutant in full."""
    before = changed_mutants.FEWEST
    changed_mutants.FEWEST = 10**12
    try:
        return cast(Tensor, saturation_mutagenesis(model, X, **settings))
    finally:
        changed_mutants.FEWEST = before


def compare(model: nn.Module, shape: tuple[int, int], start: int, end: int, rounds: int, names: str) -> dict[str, Any]:
    """Return the seconds of some calls, and how many times faster seqlight is."""
    X = random_one_hot((shape[0], 4, shape[1]), random_state=0)
    settings: dict[str, Any] = {"start": start, "end": end, "target": 0, "batch_size": BATCH, "device": "cpu"}
    pairs = {**settings, "pairwise": True, "max_distance": DISTANCE}
    every = {
        "seqlight": lambda: saturation_mutagenesis(model, X, **settings),
        "in_full": lambda: in_full(model, X, **settings),
        "pairs": lambda: saturation_mutagenesis(model, X, **pairs),
        "pairs_in_full": lambda: in_full(model, X, **pairs),
        "tangermeme_fast_false": lambda: tangermeme.saturation_mutagenesis(model, X, fast=False, **settings),
        "tangermeme_fast": lambda: tangermeme_fast(model, X, **settings),
        "by_hand": lambda: predict_by_hand(model, X, start, end),
    }
    calls = {name: every[name] for name in names.split()}
    timings = time_in_turn(calls, rounds, time.process_time)
    ours, *others = calls
    found, expected = calls[ours](), calls[others[0]]()
    result = {
        "shape": list(X.shape),
        "positions": [start, end],
        "rounds": rounds,
        **{f"{name}_s": one._asdict() for name, one in timings.items()},
        **{f"times_faster_than_{name}": timings[name].ratio(timings[ours]) for name in others},
        "largest_difference_over_largest_value": float((found - expected).abs().max() / expected.abs().max()),
    }
    print({name: round(one["least"], 3) for name, one in result.items() if isinstance(one, dict)}, flush=True)
    return result


def compare_further(model: nn.Module, length: int, start: int, end: int, rounds: int) -> dict[str, Any]:
    """Return the seconds of each further sequence of a call, and how many times faster seqlight is."""
    X = random_one_hot((MANY, 4, length), random_state=0)
    settings: dict[str, Any] = {"start": start, "end": end, "target": 0, "batch_size": BATCH, "device": "cpu"}
    functions = {"seqlight": saturation_mutagenesis, "tangermeme_fast": tangermeme_fast}
    calls = {
        f"{name}_{n}": partial(func, model, X[:n], **settings) for name, func in functions.items() for n in (1, MANY)
    }
    timings = time_in_turn(calls, rounds, time.process_time)
    each = {}
    for name in functions:
        one, many = timings[f"{name}_1"], timings[f"{name}_{MANY}"]
        each[name] = Timing(*((b - a) / (MANY - 1) for a, b in zip(one, many, strict=True)))
    result = {
        "shape": list(X.shape),
        "positions": [start, end],
        "rounds": rounds,
        **{f"{name}_s": one._asdict() for name, one in timings.items()},
        **{f"{name}_s_for_each_further_sequence": one._asdict() for name, one in each.items()},
        "times_faster_than_tangermeme_fast": each["tangermeme_fast"].ratio(each["seqlight"]),
    }
    print({name: round(one["least"], 3) for name, one in result.items() if isinstance(one, dict)}, flush=True)
    return result


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    machine = describe_machine()
    # tangermeme warns where it does not take its fast path.
    warnings.simplefilter("ignore")
    jobs, further = {}, {}
    for name, (make, shape, start, end, times, names) in JOBS.items():
        torch.manual_seed(0)
        model = make().eval()
        jobs[name] = compare(model, shape, start, end, times * rounds, names)
        if name in FURTHER:
            further[name] = compare_further(model, shape[1], start, end, rounds)
    workload = {"batch_size": BATCH, "max_distance_of_pairs": DISTANCE}
    print(
        write_results("speed_mutagenesis", {"workload": workload, "jobs": jobs, "further_sequences": further}, machine)
    )


if __name__ == "__main__":
    main(count_argument(2))
