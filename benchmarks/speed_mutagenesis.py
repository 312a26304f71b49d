"""Time ``seqlight.saturation_mutagenesis`` beside tangermeme and a loop written by hand.

Usage: ``python benchmarks/speed_mutagenesis.py [rounds] [rounds of the long job]``. All predict every mutant of the
same sequences with a Basset-like model, and in one job with a BPNet-like one, in float32. "in_full" is seqlight
computing each mutant in full, where by itself it computes what a substitution changes. The loop predicts every letter
at every position, the letter of the sequence included. tangermeme's fast path computes only what a mutation reaches,
after Nair et al. (2022); its default takes it in jobs that it estimates at more than 30 seconds, and "tangermeme_fast"
always takes it.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any, cast

import torch
from harness import count_argument, describe_machine, time_in_turn, write_results
from networks import basset_like, bpnet_like
from torch import Tensor, nn

from seqlight import random_one_hot
from seqlight.attribution.methods import changed_mutants
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis

LENGTH, BATCH, THREADS = 600, 32, 2
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


def compare(model: nn.Module, shape: tuple[int, int], start: int, end: int, rounds: int) -> dict[str, Any]:
    X = random_one_hot((shape[0], 4, shape[1]), random_state=0)
    settings: dict[str, Any] = {"start": start, "end": end, "target": 0, "batch_size": BATCH, "device": "cpu"}
    calls = {
        "seqlight": lambda: saturation_mutagenesis(model, X, **settings),
        "in_full": lambda: in_full(model, X, **settings),
        "tangermeme_fast_false": lambda: tangermeme.saturation_mutagenesis(model, X, fast=False, **settings),
        "tangermeme": lambda: tangermeme.saturation_mutagenesis(model, X, **settings),
        "tangermeme_fast": lambda: tangermeme_fast(model, X, **settings),
        "by_hand": lambda: predict_by_hand(model, X, start, end),
    }
    timings, expected = time_in_turn(calls, rounds), calls["tangermeme_fast_false"]()
    ours = timings.pop("seqlight")
    found = {
        "shape": list(X.shape),
        "positions": [start, end],
        "rounds": rounds,
        "seqlight_s": ours._asdict(),
        **{f"{name}_s": one._asdict() for name, one in timings.items()},
        **{f"times_faster_than_{name}": one.ratio(ours) for name, one in timings.items()},
        "largest_difference_over_largest_value": float(
            (calls["seqlight"]() - expected).abs().max() / expected.abs().max()
        ),
    }
    print({name: round(one["least"], 2) for name, one in found.items() if isinstance(one, dict)})
    return found


def main(rounds: int, long_rounds: int) -> None:
    torch.set_num_threads(THREADS)
    machine = describe_machine()
    torch.manual_seed(0)
    model = basset_like().eval()
    # tangermeme warns where it does not take its fast path.
    warnings.simplefilter("ignore")
    jobs = {"short": compare(model, (4, LENGTH), 280, 320, rounds)}
    if long_rounds:
        jobs["long"] = compare(model, (2, LENGTH), 0, LENGTH, long_rounds)
        jobs["bpnet"] = compare(bpnet_like().eval(), (1, 2114), 900, 1200, long_rounds)
    workload = {"model": "basset-like, and bpnet-like in the job of that name", "batch_size": BATCH}
    print(write_results("speed_mutagenesis", {"workload": workload, "jobs": jobs}, machine))


if __name__ == "__main__":
    main(count_argument(7), count_argument(3, position=2))
