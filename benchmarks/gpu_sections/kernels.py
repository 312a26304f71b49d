"""Kernels in Triton beside plain PyTorch: the same numbers, in how much less time, and after how long a compilation."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

import seqlight as sl
from gpu_sections.bench import Bench, difference, with_warnings, without_warnings
from gpu_sections.processes import part_command
from gpu_sections.workloads import REFERENCES, TIMED, draw_references, make_workload
from seqlight.attribution.kernels.table import TRITON
from seqlight.attribution.kernels.triton.backend import DEVICES, TritonKernel, is_available
from seqlight.prediction.device_dtypes import has_float64

ALLOWED = {"float32": 1e-4, "float64": 1e-9}


def kernels(bench: Bench) -> dict[str, Any] | str:
    """Attribute with and without the kernels, in float32 and float64."""
    if not bench.small and not (is_available() and bench.device.type in DEVICES):
        return "no kernels in Triton for this device"
    found: dict[str, Any] = {"first and second call, seconds": _compilation(bench)}
    for name in TIMED[:1] if bench.small else TIMED:
        model, X = make_workload(bench, name, 2 if bench.small else 51, kaiming=name != "transformer")
        there, references = copy.deepcopy(model).to(bench.device), draw_references(X)
        dtypes = [dtype for dtype in ALLOWED if dtype == "float32" or has_float64(bench.device)]
        found[name] = {dtype: _compare(bench, there, X, references, dtype) for dtype in dtypes}
        for dtype, row in found[name].items():
            bench.expect_near(row, ALLOWED[dtype], f"{name}, {dtype}: with and without kernels in Triton")
            bench.say(f"{name}, {dtype}: {row['norm']:.1e} apart, {row['times faster']:.2f} times as fast")
    found["gave up"] = [kernel.step for kernel in _kernels() if kernel.failed]
    bench.expect(not found["gave up"], f"kernels in Triton that do not run here: {found['gave up']}")
    return found


def first_call(bench: Bench) -> None:
    """Attribute twice in this process, and print the seconds of both calls and what was warned of."""
    model, X = make_workload(bench, "transformer", 1)
    references, seconds, caught = draw_references(X), [], list[str]()
    for _ in range(2):
        start = time.perf_counter()
        _, warned = with_warnings(lambda: sl.deep_lift_shap(model, X, references=references, device=bench.device))
        bench.wait()
        seconds.append(time.perf_counter() - start)
        caught += warned
    print(json.dumps({"seconds": seconds, "warnings": caught}))


@contextlib.contextmanager
def plain_path() -> Iterator[None]:
    """Have each kernel in Triton give up, as where it cannot run, so that PyTorch's own operations do its work."""
    before = [(kernel, kernel.failed) for kernel in _kernels()]
    for kernel, _ in before:
        kernel.failed = True
    try:
        yield
    finally:
        for kernel, failed in before:
            kernel.failed = failed


def _kernels() -> list[TritonKernel]:
    functions = {id(line.function): line.function for line in TRITON}
    return [one for one in functions.values() if isinstance(one, TritonKernel)]


def _compare(bench: Bench, model: nn.Module, X: Tensor, references: Tensor, dtype: str) -> dict[str, Any]:
    def attribute() -> Tensor:
        pairs = REFERENCES * len(X)
        return sl.deep_lift_shap(
            model, X, references=references, device=bench.device, batch_size=pairs, dtype=dtype, warning_threshold=1e9
        )

    with without_warnings():
        fast, seconds = attribute(), bench.seconds(attribute, most=6.0)
        with plain_path():
            plain, plain_seconds = attribute(), bench.seconds(attribute, most=6.0)
    row: dict[str, Any] = {**difference(fast, plain), "seconds": seconds, "seconds, plain": plain_seconds}
    return row | {"times faster": plain_seconds["least"] / seconds["least"]}


def _compilation(bench: Bench) -> Any:
    """Return what :func:`first_call` prints in a process whose cache of compiled kernels is empty."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TRITON_CACHE_DIR": cache}
        command = part_command(bench, "first_call")
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environment)
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else {"failed": done.stderr[-2000:]}
