"""A batch that does not fit: what is said, and whether the model and the memory come back."""

from __future__ import annotations

import gc
from typing import Any

import torch
from torch import Tensor, nn

import seqlight as sl
from gpu_sections.bench import Bench, difference, with_warnings
from gpu_sections.workloads import draw_references, make_workload


def memory(bench: Bench) -> dict[str, Any] | str:
    """Attribute with a few percent of the device's memory: a batch that does not fit is halved, or one is learned."""
    if not bench.cuda:
        return "only on CUDA"
    model, X = make_workload(bench, "bpnet-like", 400)
    references = draw_references(X[:1]).repeat(400, 1, 1, 1)
    few = sl.deep_lift_shap(model, X[:4], references=references[:4], device=bench.device, batch_size=20)
    found: dict[str, Any] = {}
    bench.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.04)
    try:
        for label, size in (("8,000 pairs at once", 8000), ("auto", "auto")):
            found[label] = row = _attribute(bench, model, X, references, size, few)
            bench.expect_near(row, 1e-4, f"with little memory, {label}")
            bench.expect(row["model on the CPU"], f"with little memory, {label}: the model was not given back")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return found


def _attribute(bench: Bench, model: nn.Module, X: Tensor, references: Tensor, size: Any, few: Tensor) -> dict[str, Any]:
    def attribute() -> None:
        got.append(sl.deep_lift_shap(model, X, references=references, device=bench.device, batch_size=size))

    got: list[Tensor] = []
    result, caught = with_warnings(lambda: bench.outcome(attribute))
    gc.collect()
    row: dict[str, Any] = {"result": result, "warnings": caught, "bytes that are left": torch.cuda.memory_allocated()}
    row |= {"model on the CPU": all(not one.is_cuda for one in model.parameters())}
    return row | (difference(got[0][:4], few) if got else {})
