"""Time the path in plain PyTorch, without compiled loops and Triton, beside tangermeme, Captum and the floor.

Usage: ``python benchmarks/plain_path.py [rounds [before]]``, where `before` is the folder ``toolkit`` of an earlier
state. This path serves devices without Triton, and CPUs without a compiler. All explain the same sequences against the
same 20 references each, in float32; the floor is that of ``speed_deeplift.py``. Times are processor time of one thread,
and each method has the best of its batch sizes below. Each has processes of its own, which take turns.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from harness import Timing, describe_machine, make_parser, run_script, write_results
from networks import Transformer, basset_like, bpnet_like, floor
from speed_deeplift import REFERENCES, captum_deeplift, tangermeme_deep_lift_shap
from torch import nn

import seqlight as sl
from seqlight.prediction.borrowed_model.memory_pages import raise_mmap_threshold

NAME, ROWS = "plain_path", 2
MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "bpnet-like": (bpnet_like, 2114),
    "basset-like": (basset_like, 600),
    "transformer": (Transformer, 1024),
}
# Captum compares a sequence with all its references at once.
BATCH_SIZES = {"seqlight": (20,), "before": (20,), "tangermeme": (10, 20), "captum": (20,), "floor": (10, 20)}
CALLS = 3


def time_calls(method: str, name: str, batch_size: int) -> list[float]:
    """Return the seconds of several calls in this process, for each sequence, after one to warm up."""
    make, length = MODELS[name]
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    X = sl.random_one_hot((ROWS, 4, length), random_state=0).float()
    references = torch.cat([sl.dinucleotide_shuffle(x[None], n=REFERENCES, random_state=0) for x in X]).float()
    settings: dict[str, Any] = {"references": references, "device": "cpu", "batch_size": batch_size}
    settings["warning_threshold"] = 1e9
    calls: dict[str, Callable[[], Any]] = {
        "seqlight": lambda: sl.deep_lift_shap(model, X, **settings),
        "tangermeme": lambda: tangermeme_deep_lift_shap(model, X, **settings),
        "captum": lambda: captum_deeplift(model, X, references),
        "floor": lambda: floor(model, X, references, batch_size),
    }
    call = calls["seqlight" if method == "before" else method]
    if method == "floor":
        raise_mmap_threshold(torch.device("cpu"))
    call()
    seconds = []
    for _ in range(CALLS):
        gc.collect()
        start = time.process_time()
        call()
        seconds.append((time.process_time() - start) / ROWS)
    return seconds


def compare(name: str, rounds: int, before: str | None) -> dict[str, Any]:
    """Return the times of all methods for one model, and their ratios."""
    known = {method: sizes for method, sizes in BATCH_SIZES.items() if before or method != "before"}
    taken: dict[tuple[str, int], list[float]] = {(method, size): [] for method in known for size in known[method]}
    package = os.environ.get("PYTHONPATH", "")
    for _ in range(rounds):
        for (method, size), seconds in taken.items():
            os.environ["PYTHONPATH"] = os.pathsep.join([before, package]) if before and method == "before" else package
            seconds.extend(run_script(__file__, "time", method, name, size))
    os.environ["PYTHONPATH"] = package
    timings = {key: Timing.of_seconds(seconds) for key, seconds in taken.items()}
    best = {method: min((timings[method, size], size) for size in known[method]) for method in known}
    least = {method: timing.least for method, (timing, _) in best.items()}
    row = {
        "seconds_a_sequence": {
            method: {**timing._asdict(), "batch_size": size} for method, (timing, size) in best.items()
        },
        "over_floor": {method: seconds / least["floor"] for method, seconds in least.items() if method != "floor"},
        "times_faster_than": {
            method: seconds / least["seqlight"]
            for method, seconds in least.items()
            if method in ("tangermeme", "captum")
        },
    }
    print(f"{name}: over floor {row['over_floor']}, times faster than {row['times_faster_than']}", flush=True)
    return row


def main(rounds: int, before: str | None) -> None:
    machine = {**describe_machine(), "captum": version("captum")}
    models = {name: compare(name, rounds, before) for name in MODELS}
    workload = {"references": REFERENCES, "sequences": ROWS, "dtype": "float32", "path": "plain PyTorch"}
    workload |= {"processes_each": rounds, "calls_a_process": CALLS, "time": "processor time of one thread"}
    workload |= {"before": "15fb076" if before else None}
    print(write_results(NAME, {"workload": workload, "models": models}, machine))


if __name__ == "__main__":
    os.environ["SEQLIGHT_NATIVE"] = "0"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # Captum's notice about its hooks
    match sys.argv[1:]:
        case ["time", *one]:
            parser = make_parser("Print the seconds of several calls as JSON.", "time")
            parser.add_argument("method", choices=BATCH_SIZES)
            parser.add_argument("model", choices=MODELS)
            parser.add_argument("batch_size", type=int)
            asked = parser.parse_args(one)
            print(json.dumps(time_calls(asked.method, asked.model, asked.batch_size)))
        case given:
            parser = make_parser(__doc__)
            parser.add_argument("rounds", nargs="?", type=int, default=3, help="by default, 3")
            parser.add_argument("before", nargs="?", help="the folder toolkit of an earlier state")
            asked = parser.parse_args(given)
            main(asked.rounds, asked.before)
