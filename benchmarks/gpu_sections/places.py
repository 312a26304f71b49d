"""Inputs, references and models on the device and on the CPU, in all pairs; and what is left where it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seqlight as sl
from gpu_sections.bench import Bench, difference
from gpu_sections.workloads import draw_references, make_workload


def places(bench: Bench) -> dict[str, Any]:
    """Attribute, predict and mutate with everything here and there; the results are those of the CPU."""
    model, X = make_workload(bench, "mixed", 6)
    references, there = draw_references(X, 5), copy.deepcopy(model).to(bench.device)
    pointers = [one.data_ptr() for one in there.parameters()]
    comparison = Comparison(bench, sl.deep_lift_shap(model, X, references=references, device="cpu"))
    _compare_attributions(bench, comparison, model, there, X, references)
    _compare_other_calls(bench, comparison, model, there, X, references)
    bench.expect([one.data_ptr() for one in there.parameters()] == pointers, "a model came back in another place")
    return comparison.found


class Comparison:
    """Calls beside what they should return, each with a name."""

    def __init__(self, bench: Bench, wanted: Tensor) -> None:
        self.bench, self.wanted = bench, wanted
        self.found: dict[str, Any] = {}

    def add(self, name: str, call: Callable[[], Tensor], wanted: Tensor | None = None, allowed: float = 1e-3) -> None:
        """Compare what a call returns with `wanted`, or with the attributions of the CPU."""
        got: list[Tensor] = []
        result = self.bench.outcome(lambda: got.append(call()))
        if got:
            self.found[name] = difference(got[0], self.wanted if wanted is None else wanted)
            self.bench.expect_near(self.found[name], allowed, name)
        else:
            self.found[name] = result
            self.bench.expect(False, f"{name}: {result}")


def _compare_attributions(
    bench: Bench, comparison: Comparison, model: nn.Module, there: nn.Module, X: Tensor, references: Tensor
) -> None:
    here, moved = {"model": model, "X": X, "references": references}, {"model": there}
    moved |= {name: here[name].to(bench.device) for name in ("X", "references")}
    for device in (bench.device, torch.device("cpu")):
        for away in (("X",), ("references",), ("X", "references"), ("model",), ("model", "X", "references"), ()):
            given = {name: moved[name] if name in away else one for name, one in here.items()}
            name = f"{' and '.join(away) or 'nothing'} on the device, run on {device.type}"
            comparison.add(name, lambda given=given, device=device: sl.deep_lift_shap(**given, device=device))
    if bench.cuda:
        comparison.add(
            "pinned sequences",
            lambda: sl.deep_lift_shap(model, X.pin_memory(), references=references, device=bench.device),
        )
        comparison.add("no device named", lambda: sl.deep_lift_shap(there, X, references=references))
    if bench.cuda and torch.cuda.device_count() > 1:
        comparison.add("the second", lambda: sl.deep_lift_shap(model, X, references=references, device="cuda:1"))
        second = copy.deepcopy(model).to("cuda:1")
        comparison.add("a model on the second", lambda: sl.deep_lift_shap(second, X, references=references))


def _compare_other_calls(
    bench: Bench, comparison: Comparison, model: nn.Module, there: nn.Module, X: Tensor, references: Tensor
) -> None:
    device, targets = bench.device, torch.zeros(6, dtype=torch.int64, device=bench.device)
    # A copy to the CPU that does not block has not arrived when it is read.
    many = torch.cat([X] * 200).float()
    outputs = sl.predict(model, many, device="cpu", batch_size=1200)
    for k in range(3):
        comparison.add(
            f"predict on the CPU what is on the device, {k}",
            lambda: sl.predict(model, many.to(device), device="cpu", batch_size=1200),
            outputs,
        )
    comparison.add("predict on the device", lambda: sl.predict(model, many, device=device, batch_size=100), outputs)
    comparison.add(
        "targets on the device",
        lambda: sl.deep_lift_shap(model, X, target=targets, references=references, device=device),
    )
    window: dict[str, Any] = {"target": 0, "end": 20}
    comparison.add(
        "mutagenesis of sequences on the device",
        lambda: sl.saturation_mutagenesis(model, X[:2].to(device), device=device, **window),
        sl.saturation_mutagenesis(model, X[:2], device="cpu", **window),
        1e-2,
    )
    comparison.add(
        "Captum's call",
        lambda: sl.DeepLiftShap(there).attribute(X.float().to(device), references[0].float().to(device), target=0),
        sl.DeepLiftShap(model).attribute(X.float(), references[0].float(), target=0),
    )
