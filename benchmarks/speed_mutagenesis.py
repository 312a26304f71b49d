"""Time ``seqlight.saturation_mutagenesis`` beside tangermeme and a loop written by hand.

Usage: ``python benchmarks/speed_mutagenesis.py [rounds] [rounds of the long job]``. All predict every mutant of the
same sequences by a Basset-like model, in float32. The loop makes each of the letters at each position, that of the
sequence included. tangermeme's fast path computes only what a mutation reaches, after Nair et al. (2022); its default
takes it in jobs of more than 30 seconds, by its own estimate, and "tangermeme_fast" is made to take it always.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Any

import torch
from harness import machine, measure, write
from speed_deeplift import basset_like
from torch import Tensor, nn

from seqlight import random_one_hot
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis

LENGTH, BATCH, THREADS = 600, 32, 2
# By its path, for the package has a function of this name too.
peers: Any = import_module("tangermeme.saturation_mutagenesis")


def by_hand(model: nn.Module, X: Tensor, start: int, end: int) -> Tensor:
    """Return what a careful user writes: all letters at all positions of one sequence after the other."""
    found = []
    with torch.inference_mode():
        for x in X:
            mutants = x.repeat(4 * (end - start), 1, 1)
            for k in range(4 * (end - start)):
                mutants[k, :, start + k // 4] = torch.eye(4, dtype=x.dtype)[k % 4]
            found.append(torch.cat([model(batch.float())[:, 0] for batch in mutants.split(BATCH)]).view(-1, 4).T)
    y = torch.stack(found)
    return (y - y.mean(dim=1, keepdim=True)) * X[:, :, start:end]


def fast(model: nn.Module, X: Tensor, **settings: Any) -> Tensor:
    """Return what tangermeme's fast path gives, however short the job."""
    before = peers._FAST_MIN_SECONDS
    peers._FAST_MIN_SECONDS = 0.0
    try:
        return peers.saturation_mutagenesis(model, X, **settings)
    finally:
        peers._FAST_MIN_SECONDS = before


def compare(model: nn.Module, rows: int, start: int, end: int, rounds: int) -> dict[str, Any]:
    X = random_one_hot((rows, 4, LENGTH), random_state=0)
    settings: dict[str, Any] = {"start": start, "end": end, "target": 0, "batch_size": BATCH, "device": "cpu"}
    calls = {
        "seqlight": lambda: saturation_mutagenesis(model, X, **settings),
        "tangermeme_fast_false": lambda: peers.saturation_mutagenesis(model, X, fast=False, **settings),
        "tangermeme": lambda: peers.saturation_mutagenesis(model, X, **settings),
        "tangermeme_fast": lambda: fast(model, X, **settings),
        "by_hand": lambda: by_hand(model, X, start, end),
    }
    taken, wanted = measure(calls, rounds), calls["tangermeme_fast_false"]()
    ours = taken.pop("seqlight")
    found = {
        "shape": [rows, 4, LENGTH],
        "positions": [start, end],
        "rounds": rounds,
        "seqlight_s": {"least": ours.least, "median": ours.median},
        **{f"{name}_s": {"least": one.least, "median": one.median} for name, one in taken.items()},
        **{
            f"times_faster_than_{name}": {"least": one.least / ours.least, "median": one.median / ours.median}
            for name, one in taken.items()
        },
        "largest_difference_over_largest_value": float((calls["seqlight"]() - wanted).abs().max() / wanted.abs().max()),
    }
    print({name: round(one["least"], 2) for name, one in found.items() if isinstance(one, dict)})
    return found


def main(rounds: int, long_rounds: int) -> None:
    torch.set_num_threads(THREADS)
    where = machine()
    torch.manual_seed(0)
    model = basset_like().eval()
    # tangermeme says so where it does not use its fast path.
    warnings.simplefilter("ignore")
    jobs = {"short": compare(model, 4, 280, 320, rounds)}
    if long_rounds:
        jobs["long"] = compare(model, 2, 0, LENGTH, long_rounds)
    print(write("speed_mutagenesis", {"workload": {"model": "basset-like", "batch_size": BATCH}, "jobs": jobs}, where))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
