"""The machine, and what it can do at most: bytes and products a second."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from typing import Any

import torch
from torch.nn.functional import conv1d

from gpu_sections.bench import Bench, short_floats
from seqlight.native.library import library

PACKAGES = ("torch", "triton", "captum", "tangermeme", "lightning")


def environment(bench: Bench) -> dict[str, Any]:
    """Return versions, the name of the device, and on CUDA what it can do at most."""
    found: dict[str, Any] = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "compiled loops on the CPU": library() is not None,
        **{name: _version(name) for name in PACKAGES},
        "device": bench.device.type,
    }
    if bench.cuda:
        found |= {"name": torch.cuda.get_device_name(), "devices": torch.cuda.device_count()}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        found["compute capability"] = list(torch.cuda.get_device_capability())
        found["memory, bytes"] = torch.cuda.get_device_properties(bench.device).total_memory
        found["tf32 in convolutions, by default"] = torch.backends.cudnn.allow_tf32
    if bench.accelerated:
        found |= _host(bench)
    if bench.cuda:
        found |= _bytes_a_second(bench) | _products_a_second(bench)
    return found


def _host(bench: Bench) -> dict[str, float]:
    one = torch.randn(8, device=bench.device)
    calls = 200 if bench.small else 2000
    start = time.perf_counter()
    for _ in range(calls):
        one + 1
    taken = time.perf_counter() - start
    bench.wait()
    return {"microseconds of the host for a launch": taken / calls * 1e6}


def _bytes_a_second(bench: Bench) -> dict[str, float]:
    here = torch.randn(2**28, device=bench.device)
    there, some = torch.empty_like(here), here[: 2**26]
    pinned = torch.empty(2**26, pin_memory=True)
    within = bench.seconds(lambda: there.copy_(here), 5)["least"]
    pageable = bench.seconds(lambda: some.cpu(), 3)["least"]
    fast = bench.seconds(lambda: pinned.copy_(some), 3)["least"]
    return {
        "terabytes a second on the device": 2 * here.nbytes / within / 1e12,
        "gigabytes a second to the CPU": some.nbytes / pageable / 1e9,
        "gigabytes a second to the CPU, pinned": some.nbytes / fast / 1e9,
    }


def _products_a_second(bench: Bench) -> dict[str, float]:
    x, w = torch.randn(1024, 64, 2114, device=bench.device), torch.randn(64, 64, 3, device=bench.device)
    found = {}
    for name, short in (("float32", False), ("tf32", True)):
        with short_floats(short, short):
            least = bench.seconds(lambda: conv1d(x, w, padding=4, dilation=4), 5)["least"]
        found[f"teraflops of a convolution, {name}"] = 2 * 1024 * 64 * 64 * 3 * 2114 / least / 1e12
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
