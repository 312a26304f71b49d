"""A batch that does not fit: what is said, and whether the model and the memory come back."""

from __future__ import annotations

import gc
from typing import Any

import torch

import seqlight as sl
from gpu_sections.bench import Bench
from gpu_sections.workloads import draw_references, make_workload


def memory(bench: Bench) -> dict[str, Any] | str:
    """Attribute with a few percent of the device's memory."""
    if not bench.cuda:
        return "only on CUDA"
    model, X = make_workload(bench, "bpnet-like", 400)
    references = draw_references(X[:1]).repeat(400, 1, 1, 1)
    found: dict[str, Any] = {}
    bench.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.04)
    try:
        found["8,000 pairs at once"] = bench.outcome(
            lambda: sl.deep_lift_shap(model, X, references=references, device=bench.device, batch_size=8000)
        )
        gc.collect()
        found["bytes that are left"] = torch.cuda.memory_allocated()
        found["model on the CPU"] = all(not one.is_cuda for one in model.parameters())
        found["20 pairs at once, after that"] = bench.outcome(
            lambda: sl.deep_lift_shap(model, X[:4], references=references[:4], device=bench.device, batch_size=20)
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    good = found["model on the CPU"] and found["20 pairs at once, after that"] == "ok"
    bench.expect(good, f"after running out of memory: {found}")
    return found
