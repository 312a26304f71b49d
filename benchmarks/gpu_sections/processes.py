"""Several processes: on one device, and one on each through Lightning."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import seqlight as sl
from gpu_sections.bench import Bench, difference
from gpu_sections.workloads import draw_references, make_workload

START = Path(__file__).parents[1] / "gpu_check.py"


def part_command(bench: Bench, part: str) -> list[str]:
    """Return the command that does one part of a section in a process of its own: see ``PARTS`` of the script."""
    command = [sys.executable, str(START), "--device", str(bench.device), "--part", part, "--out", str(bench.out)]
    return command + (["--small"] if bench.small else []) + (["--plugin", bench.plugin] if bench.plugin else [])


def side_by_side(bench: Bench) -> dict[str, Any]:
    """Attribute in one process and in two on one device, since what one leaves idle may serve the other."""
    found: dict[str, Any] = {}
    for n in (1, 2):
        started = [subprocess.Popen(part_command(bench, "work"), stdout=subprocess.PIPE, text=True) for _ in range(n)]
        outputs = [one.communicate(timeout=90)[0] for one in started]
        found[f"{n}"] = [float(text.splitlines()[-1]) for text in outputs]
    found["sequences a second, two over one"] = sum(found["2"]) / found["1"][0]
    return found


def several_devices(bench: Bench) -> dict[str, Any] | str:
    """Run on all devices through Lightning and NCCL, a process for each, and compare with one; on a CPU in two."""
    if bench.accelerator not in ("cuda", "cpu"):
        return "Lightning has no accelerator of several such devices"
    done = subprocess.run(part_command(bench, "run_on_all"), capture_output=True, text=True, timeout=180, check=False)
    (bench.out / "several_devices.txt").write_text(done.stdout[-20000:] + done.stderr[-20000:])
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    bench.expect(done.returncode == 0 and bool(lines), f"a run on all devices ended with {done.returncode}")
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {"failed": done.stderr[-2000:]}
    if lines:
        bench.expect_near(found["attributions"], 1e-4, "a run on all devices")
    return found


def work(bench: Bench) -> None:
    """Attribute for some seconds, and print the sequences a second."""
    model, X = make_workload(bench, "bpnet-like", 2 if bench.small else 8)
    there, references = copy.deepcopy(model).to(bench.device), draw_references(X)
    done, start = -1, 0.0
    while done < 0 or time.perf_counter() - start < (0.3 if bench.small else 6.0):
        sl.deep_lift_shap(there, X, references=references, device=bench.device, batch_size=20)
        bench.wait()
        if done < 0:  # the first call warms up
            start = time.perf_counter()
        done += 1
    print(done * len(X) / (time.perf_counter() - start))


def run_on_all(bench: Bench) -> None:
    """Run on every device, in processes that start this script again, and print how far the results are from one's."""
    from seqlight.lit import DeepLiftShapModule

    model, X = make_workload(bench, "mixed", 8 if bench.small else 64)
    folder = bench.out / "several_devices"
    if "LOCAL_RANK" not in os.environ:  # the first process, which starts the others
        shutil.rmtree(folder, ignore_errors=True)
    start, processes = time.perf_counter(), torch.cuda.device_count() if bench.cuda else 2
    results = sl.run(
        DeepLiftShapModule(model, n_shuffles=5, batch_size=20),
        X,
        out=folder,
        devices=processes,
        accelerator=bench.accelerator,
        strategy="ddp",
        batch_size=4,
        progress=False,
    )
    seconds = time.perf_counter() - start
    alone = sl.deep_lift_shap(model, X, n_shuffles=5, random_state=0, device=bench.device)
    found = difference(torch.from_numpy(results["attributions"][:]), alone)
    print(json.dumps({"processes": processes, "seconds": seconds, "attributions": found}))
