"""Seconds and bytes of attributions beside plain autograd, tangermeme and Captum, and of predictions beside a loop."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seqlight as sl
from gpu_sections.bench import Bench, short_floats, without_warnings
from gpu_sections.workloads import REFERENCES, TIMED, draw_references, floor, make_workload

NO_TIME = "no time left"
# Sequences at a time, and in all: one alone, where the host decides, and as many as fill a GPU.
SIZES = {False: ((1, 12), (51, 102)), True: ((1, 2), (2, 4))}


def speed(bench: Bench) -> dict[str, Any]:
    """Time `deep_lift_shap` with 20 and 1,020 pairs at a time, in float32 and with TF32 convolutions for all."""
    found = {}
    for name in TIMED:
        for at_once, rows in SIZES[bench.small]:
            model, X = make_workload(bench, name, rows)
            for label, short in (("float32", False), ("tf32", True))[: 2 if bench.cuda else 1]:
                jobs = _make_jobs(bench, model, X, at_once, "tf32" if short else None)
                key = f"{name}, {at_once * REFERENCES} pairs, {label}"
                with short_floats(short), without_warnings():
                    row = time_jobs(bench, jobs, rows)
                found[key] = row
                bench.say(f"{key}: {describe(row)}")
    return found


def _make_jobs(
    bench: Bench, model: nn.Module, X: Tensor, at_once: int, precision: str | None
) -> dict[str, Callable[[], object]]:
    references, there = draw_references(X), copy.deepcopy(model).to(bench.device)
    given: dict[str, Any] = {"device": bench.device, "batch_size": at_once * REFERENCES}
    ours = {**given, "precision": precision}
    jobs: dict[str, Callable[[], object]] = {
        "floor": lambda: floor(bench, there, X, references, at_once),
        "seqlight": lambda: sl.deep_lift_shap(there, X, references=references, **ours),
        "seqlight, drawing": lambda: sl.deep_lift_shap(there, X, random_state=0, **ours),
    }
    if at_once > 1:
        learned = {**ours, "batch_size": "auto"}
        jobs["seqlight, auto"] = lambda: sl.deep_lift_shap(there, X, references=references, **learned)
    return {**jobs, **_tangermeme(given, there, X, references), **_captum(bench, there, X, references, at_once)}


def _tangermeme(
    settings: dict[str, Any], model: nn.Module, X: Tensor, references: Tensor
) -> dict[str, Callable[[], object]]:
    try:
        from tangermeme.deep_lift_shap import deep_lift_shap
    except ImportError:
        return {}
    theirs = {**settings, "device": str(settings["device"]), "warning_threshold": 1e9}
    return {"tangermeme": lambda: deep_lift_shap(model, X, references=references, **theirs)}


def _captum(
    bench: Bench, model: nn.Module, X: Tensor, references: Tensor, at_once: int
) -> dict[str, Callable[[], object]]:
    try:
        from captum.attr import DeepLift
    except ImportError:
        return {}

    def attribute_each() -> Tensor:
        found, explainer = [], DeepLift(model)
        for x, r in zip(X.split(at_once), references.split(at_once), strict=True):
            baselines = r.to(bench.device).float().flatten(0, 1)
            inputs = x.to(bench.device).float().repeat_interleave(r.shape[1], dim=0)
            contributions = explainer.attribute(inputs, baselines, target=0).detach()
            found.append(contributions.unflatten(0, r.shape[:2]).mean(1).cpu())
        return torch.cat(found)

    return {"captum": attribute_each}


def time_jobs(bench: Bench, jobs: dict[str, Callable[[], object]], rows: int) -> dict[str, Any]:
    """Return seconds, bytes and the ratio to the floor of each job on `rows` sequences, or what it raised."""
    row: dict[str, Any] = {"sequences": rows}
    for who, call in jobs.items():
        if bench.remaining() < 30 and not bench.small:
            row[who] = NO_TIME
            continue
        timing: dict[str, Any] = {}
        result = bench.outcome(lambda call=call, timing=timing: timing.update(bench.seconds(call, 3, 8.0)))
        row[who] = timing | {"peak bytes": bench.peak_bytes(call)} if result == "ok" else result
    least = {who: one["least"] for who, one in row.items() if isinstance(one, dict)}
    row["over the floor"] = {who: taken / least["floor"] for who, taken in least.items()} if "floor" in least else {}
    return row


def describe(row: dict[str, Any]) -> str:
    """Return in one line what `time_jobs` found: ratios to the floor, seconds where it has none, or why neither.

    Examples
    --------
    >>> describe({"sequences": 2, "floor": "no time left", "seqlight": "no time left", "over the floor": {}})
    'no time left'
    """
    over, cells = row["over the floor"], []
    jobs = {who: one for who, one in row.items() if who not in ("sequences", "over the floor")}
    if all(one == NO_TIME for one in jobs.values()):
        return NO_TIME
    for who, one in jobs.items():
        otherwise = f"{one['least']:.3g} s" if isinstance(one, dict) else f"({one})"
        cells.append(f"{who} {over[who]:.2f}" if who in over else f"{who} {otherwise}")
    return f"{'over the floor' if over else 'without a floor'}: {', '.join(cells)}"


def predicting(bench: Bench) -> dict[str, Any]:
    """Time `predict` beside a loop written by hand that fetches each batch, and one that fetches all at the end."""
    found = {}
    for name in ("bpnet-like", "basset-like"):
        model, X = make_workload(bench, name, 64 if bench.small else 4096)
        there = copy.deepcopy(model).to(bench.device)
        for size in (32,) if bench.small else (32, 512):
            found[f"{name}, {size}"] = row = {
                "by hand": bench.seconds(lambda m=there, X=X, n=size: torch.cat(_each(bench, m, X, n, True))),
                "by hand, fetched once": bench.seconds(
                    lambda m=there, X=X, n=size: torch.cat(_each(bench, m, X, n, False)).cpu()
                ),
                "seqlight": bench.seconds(
                    lambda m=there, X=X, n=size: sl.predict(m, X, device=bench.device, batch_size=n)
                ),
            }
            ratios = (f"{row['seqlight']['least'] / one['least']:.2f} of {who}" for who, one in row.items())
            bench.say(f"{name}, {size}: {', '.join(ratios)}")
    return found


def _each(bench: Bench, model: nn.Module, X: Tensor, size: int, fetch: bool) -> list[Tensor]:
    with torch.inference_mode():
        outputs = (model(x.to(bench.device).float()) for x in X.split(size))
        return [one.cpu() if fetch else one for one in outputs]
