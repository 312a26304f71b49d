"""What the benchmarks of seqlet callers share: the track, the threads, and what a first call costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import process_memory
from numpy.typing import NDArray

Caller = Callable[[NDArray[np.float32]], Any]


def noise_with_blocks(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return Laplace noise with about four blocks of higher values in each example."""
    rng = np.random.RandomState(0)
    X = rng.laplace(size=shape).astype(np.float32)
    for row in X:
        for start in rng.randint(0, shape[1] - 10, rng.poisson(4)):
            row[start : start + 10] += rng.uniform(1, 4)
    return X


def with_threads(threads: int, call: Caller) -> Caller:
    """Return a caller that uses this many threads of PyTorch."""

    def run(X: NDArray[np.float32]) -> Any:
        torch.set_num_threads(threads)  # before each call: numba, between them, sets the same number
        return call(X)

    return run


def measure_first_call(call: Caller, X: NDArray[np.float32]) -> dict[str, float]:
    """Return seconds of a call, and megabytes beyond what the process held before; call it in a fresh process."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = process_memory("VmRSS")
    start = time.perf_counter()
    call(X)
    taken = time.perf_counter() - start
    megabytes = (process_memory("VmHWM") - before) / 2**20
    return {"seconds": taken, "peak_megabytes_beyond_the_input": round(megabytes, 1)}
