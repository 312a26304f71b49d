"""Measure the peak memory of ``seqlight.deep_lift_shap`` beside tangermeme, and how time and memory grow with the work.

Usage: ``python benchmarks/memory_deeplift.py``. Each peak is that of a fresh process, less its memory before the call;
both are resident memory as the system counts it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from typing import Any

import torch
from harness import describe_machine, run_script, write_results
from speed_deeplift import WORKLOADS

import seqlight as sl

BATCH_SIZES = (20, 80)
SEQUENCES = (1000, 10_000)
REFERENCES = (5, 10, 20, 40)


def measure_peak(method: str, name: str, batch_size: int) -> int:
    """Return the bytes by which one call raises the peak memory of this process."""
    make, rows, length = WORKLOADS[name]
    torch.manual_seed(0)
    model, X = make().eval(), sl.random_one_hot((rows, 4, length), random_state=0).float()
    references = torch.cat([sl.dinucleotide_shuffle(x[None], n=20, random_state=0) for x in X]).float()
    settings: dict[str, Any] = {"references": references, "device": "cpu", "batch_size": batch_size}
    if method == "seqlight":
        call: Any = sl.deep_lift_shap
    else:
        from tangermeme.deep_lift_shap import deep_lift_shap as call

        settings["warning_threshold"] = 1e9
    # A first call compiles and loads, which must not count.
    call(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 1)), X[:1, :, :10], n_shuffles=2, device="cpu")
    before = peak_resident()
    call(model, X, **settings)
    return peak_resident() - before


def measure_many_sequences(sequences: int) -> dict[str, float]:
    """Return seconds, and bytes beyond inputs and outputs, for many short sequences."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 16, 9), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(672, 1))
    X = sl.random_one_hot((sequences, 4, 50), random_state=0)
    sl.deep_lift_shap(model, X[:10], n_shuffles=5, random_state=0, device="cpu")
    before, start = peak_resident(), time.perf_counter()
    out = sl.deep_lift_shap(model, X, n_shuffles=5, random_state=0, device="cpu", batch_size=100)
    taken = time.perf_counter() - start
    return {"seconds": taken, "bytes": peak_resident() - before - out.numel() * out.element_size()}


def time_references(references: int) -> float:
    """Return the seconds of one sequence against this many references, the least of several calls."""
    make, _, length = WORKLOADS["basset-like"]
    torch.manual_seed(0)
    model, X = make().eval(), sl.random_one_hot((1, 4, length), random_state=0)
    least = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        sl.deep_lift_shap(model, X, n_shuffles=references, random_state=0, device="cpu", batch_size=5)
        least = min(least, time.perf_counter() - start)
    return least


def peak_resident() -> int:
    """Return the greatest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def compare_peaks(name: str, batch_size: int) -> dict[str, int]:
    return {method: run_script(__file__, "peak", method, name, batch_size) for method in ("seqlight", "tangermeme")}


def main() -> None:
    peaks = {name: {str(size): compare_peaks(name, size) for size in BATCH_SIZES} for name in WORKLOADS}
    for name, sizes in peaks.items():
        for size, of in sizes.items():
            print(f"{name}, batch {size}: {of['seqlight'] / 2**20:.0f} MiB, tangermeme {of['tangermeme'] / 2**20:.0f}")
    streams = {str(n): run_script(__file__, "stream", n) for n in SEQUENCES}
    print(streams)
    seconds = {str(n): run_script(__file__, "grow", n) for n in REFERENCES}
    print(seconds)
    results = {"peak_bytes": peaks, "many_sequences": streams, "seconds_by_references": seconds}
    print(write_results("memory_deeplift", results, describe_machine()))


if __name__ == "__main__":
    torch.set_num_threads(2)
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["peak", method, name, size]:
            print(json.dumps(measure_peak(method, name, int(size))))
        case ["stream", n]:
            print(json.dumps(measure_many_sequences(int(n))))
        case ["grow", n]:
            print(json.dumps(time_references(int(n))))
        case _:
            main()
