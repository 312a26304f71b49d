"""Time ``seqlight.deep_lift_shap`` beside tangermeme, Captum and the least that any such method must do.

Usage: ``python benchmarks/speed_deeplift.py [rounds [model ...]]``; with models only their rows are measured again,
which must be on the machine of the other rows. All explain the same sequences against the same 20 references each, in
float32. The floor is plain autograd: one forward pass of each sequence, one forward and one input-backward pass of each
reference. Each has processes of its own, which take turns, since what one does to the memory of its process would
benefit the others (see ``seqlight.prediction.borrowed_model.memory_pages``); the floor gets it too.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from captum.attr import DeepLift
from harness import Timing, describe_machine, read_results, run_script, vector_registers, write_results
from networks import Transformer, basset_like, beluga, bpnet_like, floor
from tangermeme.deep_lift_shap import deep_lift_shap as tangermeme_deep_lift_shap
from torch import Tensor, nn

import seqlight as sl
from seqlight.prediction.borrowed_model.memory_pages import raise_mmap_threshold

REFERENCES, THREADS = 20, 2
# The least calls and seconds of a process: one call of a small model is too short to be representative.
CALLS, SECONDS = 2, 2.0
METHODS = ("seqlight", "tangermeme", "captum", "floor")


WORKLOADS = {
    "basset-like": (basset_like, 8, 600),
    "bpnet-like": (bpnet_like, 4, 2114),
    "Beluga": (beluga, 1, 2000),
    "transformer": (Transformer, 4, 1024),
}


def captum_deeplift(model: nn.Module, X: Tensor, references: Tensor) -> Tensor:
    """Return Captum's contributions, one sequence and its references at a time."""
    explainer, found = DeepLift(model), []
    for x, r in zip(X, references, strict=True):
        found.append(explainer.attribute(x[None].expand_as(r).clone(), r, target=0).mean(0).detach())
    return torch.stack(found)


def time_calls(method: str, name: str) -> list[float]:
    """Return the seconds of several calls in this process, after one to warm up."""
    call = make_calls(name)[method]
    if method == "floor":
        raise_mmap_threshold(torch.device("cpu"))
    call()
    seconds = []
    while len(seconds) < CALLS or sum(seconds) < SECONDS:
        gc.collect()
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def make_calls(name: str) -> dict[str, Callable[[], Any]]:
    make, rows, length = WORKLOADS[name]
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    X = sl.random_one_hot((rows, 4, length), random_state=0).float()
    references = torch.cat([sl.dinucleotide_shuffle(x[None], n=REFERENCES, random_state=0) for x in X]).float()
    ours = {"references": references, "device": "cpu", "batch_size": REFERENCES}
    theirs = {**ours, "warning_threshold": 1e9}
    return {
        "seqlight": lambda: sl.deep_lift_shap(model, X, **ours),
        "tangermeme": lambda: tangermeme_deep_lift_shap(model, X, **theirs),
        "captum": lambda: captum_deeplift(model, X, references),
        "floor": lambda: floor(model, X, references),
    }


def largest_difference(name: str) -> float:
    """Return the largest difference from tangermeme, relative to its largest value."""
    ours, theirs = (make_calls(name)[method]() for method in ("seqlight", "tangermeme"))
    return float((ours - theirs).abs().max() / theirs.abs().max())


def compare(name: str, rounds: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for _ in range(rounds):
        for method, taken in seconds.items():
            taken.extend(run_script(__file__, method, name))
    timings = {method: Timing.of_seconds(taken) for method, taken in seconds.items()}
    ours = timings["seqlight"]
    _, rows, length = WORKLOADS[name]
    row = {
        "shape": [rows, 4, length],
        **{f"{method}_s": timing._asdict() for method, timing in timings.items()},
        "over_floor": ours.ratio(timings["floor"]),
        **{f"times_faster_than_{method}": timings[method].ratio(ours) for method in ("tangermeme", "captum")},
        "largest_difference_from_tangermeme_over_largest_value": run_script(__file__, "difference", name),
    }
    print(
        f"{name}: {ours.least:.3f} s, {row['over_floor']['least']:.2f} of the floor, "
        f"{row['times_faster_than_tangermeme']['least']:.1f} times faster than tangermeme, "
        f"{row['times_faster_than_captum']['least']:.1f} than Captum",
        flush=True,
    )
    return row


def main(rounds: int = 3, *only: str) -> None:
    machine, name = {**describe_machine(), "captum": version("captum")}, f"speed_deeplift_{vector_registers()}"
    known = read_results(name)["models"] if only else {}
    models = {**known, **{model: compare(model, rounds) for model in only or WORKLOADS}}
    workload = {"references": REFERENCES, "dtype": "float32", "processes_each": rounds}
    workload |= {"calls_a_process": CALLS, "seconds_a_process": SECONDS}
    print(write_results(name, {"workload": workload, "models": models}, machine))


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")  # Captum's notice about its hooks
    match sys.argv[1:]:
        case ["difference", name]:
            print(json.dumps(largest_difference(name)))
        case [method, name] if method in METHODS:
            print(json.dumps(time_calls(method, name)))
        case [rounds, *only]:
            main(int(rounds), *only)
        case _:
            main()
