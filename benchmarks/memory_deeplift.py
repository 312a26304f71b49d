"""Peak memory of ``seqlight.deep_lift_shap`` beside tangermeme, and how time and memory grow with the work.

Usage: ``python benchmarks/memory_deeplift.py``. Each peak is that of a new process, less what the process had before
the call: resident memory as the system counts it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from harness import machine, write
from speed_deeplift import WORKLOADS

import seqlight as sl

BATCH_SIZES = (20, 80)
SEQUENCES = (1000, 10_000)
REFERENCES = (5, 10, 20, 40)


def peak(who: str, name: str, batch_size: int) -> int:
    """Return by how many bytes one call raises the peak of this process."""
    make, rows, length = WORKLOADS[name]
    torch.manual_seed(0)
    model, X = make().eval(), sl.random_one_hot((rows, 4, length), random_state=0).float()
    references = torch.cat([sl.dinucleotide_shuffle(x[None], n=20, random_state=0) for x in X]).float()
    settings: dict[str, Any] = {"references": references, "device": "cpu", "batch_size": batch_size}
    if who == "seqlight":
        call: Any = sl.deep_lift_shap
    else:
        from tangermeme.deep_lift_shap import deep_lift_shap as call

        settings["warning_threshold"] = 1e9
    # What is compiled and loaded by a first call is not what a call needs.
    call(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 1)), X[:1, :, :10], n_shuffles=2, device="cpu")
    before = _resident()
    call(model, X, **settings)
    return _resident() - before


def streamed(sequences: int) -> dict[str, float]:
    """Return seconds and bytes above what is passed in and out, of many short sequences."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 16, 9), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(672, 1))
    X = sl.random_one_hot((sequences, 4, 50), random_state=0)
    sl.deep_lift_shap(model, X[:10], n_shuffles=5, random_state=0, device="cpu")
    before, start = _resident(), time.perf_counter()
    out = sl.deep_lift_shap(model, X, n_shuffles=5, random_state=0, device="cpu", batch_size=100)
    taken = time.perf_counter() - start
    return {"seconds": taken, "bytes": _resident() - before - out.numel() * out.element_size()}


def growing(references: int) -> float:
    """Return the seconds of one sequence against so many references, the least of some calls."""
    make, _, length = WORKLOADS["basset-like"]
    torch.manual_seed(0)
    model, X = make().eval(), sl.random_one_hot((1, 4, length), random_state=0)
    least = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        sl.deep_lift_shap(model, X, n_shuffles=references, random_state=0, device="cpu", batch_size=5)
        least = min(least, time.perf_counter() - start)
    return least


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _elsewhere(*arguments: Any) -> Any:
    """Return what this script prints when it is called with `arguments`."""
    command = [sys.executable, str(Path(__file__)), *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def _both(name: str, batch_size: int) -> dict[str, int]:
    return {who: _elsewhere("peak", who, name, batch_size) for who in ("seqlight", "tangermeme")}


def main() -> None:
    peaks = {name: {str(size): _both(name, size) for size in BATCH_SIZES} for name in WORKLOADS}
    for name, sizes in peaks.items():
        for size, of in sizes.items():
            print(f"{name}, batch {size}: {of['seqlight'] / 2**20:.0f} MiB, tangermeme {of['tangermeme'] / 2**20:.0f}")
    streams = {str(n): _elsewhere("stream", n) for n in SEQUENCES}
    print(streams)
    seconds = {str(n): _elsewhere("grow", n) for n in REFERENCES}
    print(seconds)
    results = {"peak_bytes": peaks, "many_sequences": streams, "seconds_by_references": seconds}
    print(write("memory_deeplift", results, machine()))


if __name__ == "__main__":
    torch.set_num_threads(2)
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["peak", who, name, size]:
            print(json.dumps(peak(who, name, int(size))))
        case ["stream", n]:
            print(json.dumps(streamed(int(n))))
        case ["grow", n]:
            print(json.dumps(growing(int(n))))
        case _:
            main()
