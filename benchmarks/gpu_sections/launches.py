"""Kernels, copies and waits of a batch, for how much of the time the device has work, and what makes it wait."""

from __future__ import annotations

import copy
import gzip
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import seqlight as sl
from gpu_sections.bench import Bench, without_warnings
from gpu_sections.workloads import REFERENCES, TIMED, draw_references, floor, make_workload

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
MOST_BYTES = 15 * 2**20


def launches(bench: Bench) -> dict[str, Any]:
    """Profile plain autograd and `deep_lift_shap`, one sequence and twenty references a block."""
    if bench.device.type not in ("cuda", "cpu"):
        return {"skipped": "PyTorch's profiler knows CUDA and the CPU"}
    found: dict[str, Any] = {}
    for name in TIMED:
        model, X = make_workload(bench, name, 2 if bench.small else 20)
        references, there = draw_references(X), copy.deepcopy(model).to(bench.device)
        jobs = {"floor": lambda m=there, X=X, r=references: floor(bench, m, X, r, 1)}
        for blocks in (1,) if bench.small else (1, 20):
            label = "seqlight" if blocks == 1 else f"seqlight, {blocks} sequences at once"
            jobs[label] = lambda m=there, X=X, r=references, n=blocks: _attribute(bench, m, X, r, n)
        for who, call in jobs.items():
            trace = bench.out / "trace.json" if bench.cuda and (name, who) == ("bpnet-like", "seqlight") else None
            found[f"{name}, {who}"] = row = _profile(bench, call, len(X), trace)
            numbers = (f"{key} {value:.3g}" for key, value in row.items() if isinstance(value, float))
            bench.say(f"{name}, {who}: {', '.join(numbers)}")
    return found


def waits(bench: Bench) -> dict[str, Any]:
    """Count, on CUDA, the lines that wait for the device, by the number of blocks: at most one wait a block."""
    if not bench.cuda:
        return {"skipped": "only CUDA says what waits for it"}
    found: dict[str, Any] = {}
    for name in TIMED:
        model, X = make_workload(bench, name, 8)
        references, there = draw_references(X), copy.deepcopy(model).to(bench.device)
        few, many = (_waiting_lines(bench, there, X[:n], references[:n]) for n in (4, 8))
        a_block = {line: (many[line] - few[line]) / 4 for line in many if many[line] > few[line]}
        found[name] = {"a block": a_block, "in all, for 8 blocks": dict(many)}
        bench.expect(sum(a_block.values()) <= 1, f"{name}: more than one wait a block: {a_block}")
    return found


def _attribute(bench: Bench, model: nn.Module, X: Tensor, references: Tensor, blocks: int) -> Tensor:
    return sl.deep_lift_shap(model, X, references=references, device=bench.device, batch_size=REFERENCES * blocks)


def _waiting_lines(bench: Bench, model: nn.Module, X: Tensor, references: Tensor) -> Counter[str]:
    import warnings

    _attribute(bench, model, X, references, 1)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _attribute(bench, model, X, references, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    met = (one for one in caught if "synchroniz" in str(one.message))
    return Counter(f"{Path(one.filename).name}:{one.lineno}" for one in met)


def _profile(bench: Bench, call: Callable[[], object], rows: int, trace: Path | None) -> dict[str, Any]:
    call()
    bench.wait()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.cuda else [])]
    with without_warnings(), profile(activities=activities) as seen:
        start = time.perf_counter()
        call()
        bench.wait()
        wall = time.perf_counter() - start
    counted = {one.key: one.count for one in seen.key_averages()}
    kernels = [one for one in seen.events() if bench.cuda and one.device_type == torch.autograd.DeviceType.CUDA]
    spent: Counter[str] = Counter()
    for one in kernels:
        spent[one.name[:70]] += one.time_range.elapsed_us()
    if trace is not None:
        _write_trace(seen, trace)
    return {
        "seconds, profiled": wall,
        "seconds with work on the device": sum(spent.values()) / 1e6,
        "kernels and copies a sequence": len(kernels) / rows,
        "launches a sequence": sum(counted.get(name, 0) for name in LAUNCHES) / rows,
        "copies a sequence": counted.get("cudaMemcpyAsync", 0) / rows,
        "waits a sequence": sum(counted.get(name, 0) for name in WAITS) / rows,
        "items a sequence": counted.get("aten::_local_scalar_dense", 0) / rows,
        "operations a sequence": sum(count for name, count in counted.items() if name.startswith("aten::")) / rows,
        "most microseconds": {name: round(taken) for name, taken in spent.most_common(14)},
    }


def _write_trace(seen: Any, path: Path) -> None:
    """Write what was profiled for ``chrome://tracing``, compressed, unless it is too large to send."""
    seen.export_chrome_trace(str(path))
    packed = path.with_suffix(".json.gz")
    with path.open("rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    path.unlink()
    if packed.stat().st_size > MOST_BYTES:
        packed.unlink()
