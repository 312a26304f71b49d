"""Time ``seqlight.run``: one and two processes, against the bare function, going on after an interruption, and reading.

Usage: ``python benchmarks/speed_run.py [rounds]``. Every process has one thread. The model is a small CNN. A run is
timed from inside, from the first batch of any process to the end of all, without the start of Python and Lightning:
that part grows with the rows. A bare call, a run in one process and one in two follow each other, and are compared with
each other: the ratios are medians over the rounds. Beside the time on the clock stands that on the processors, of the
process that took most, which other work on the machine disturbs less: its ratio is the speedup of processes that have a
core each.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import lightning.pytorch as L
import numpy as np
import torch
from harness import machine, measure, write
from speed_predict import small_cnn
from torch import Tensor

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule
from seqlight.results.loci import write_loci
from seqlight.results.manifest import Manifest, shard_path, write_manifest
from seqlight.results.shards import write_shard

LENGTH, REFERENCES = 500, 20
ROWS = {"predict": 49_152, "deep_lift_shap": 1024}
BATCH = {"predict": 256, "deep_lift_shap": 64}
LOCI = 100_000
QUIET: dict[str, Any] = {"accelerator": "cpu", "progress": False}


class Seconds(NamedTuple):
    """On the clock, and on the processors."""

    clock: float
    processor: float


class Clock(L.Callback):
    """Write when each process began with its first batch and ended with its last, and what it took between."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks."""
        self.begun, self.used = time.monotonic(), time.process_time()

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop them."""
        note = self.folder / f"rank-{trainer.global_rank}.json"
        note.write_text(json.dumps([self.begun, time.monotonic(), time.process_time() - self.used]))


def sequences(what: str) -> Tensor:
    return sl.random_one_hot((ROWS[what], 4, LENGTH), random_state=0)


def module(what: str) -> L.LightningModule:
    model = small_cnn()
    return PredictModule(model) if what == "predict" else DeepLiftShapModule(model, n_shuffles=REFERENCES)


def run(what: str, X: Tensor, world: int) -> Seconds:
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "clock"
        notes.mkdir()
        more = {"devices": world, "strategy": "ddp_fork"} if world > 1 else {}
        sl.run(module(what), X, f"{folder}/out", callbacks=[Clock(str(notes))], batch_size=BATCH[what], **QUIET, **more)
        clocks = [json.loads(one.read_text()) for one in notes.iterdir()]
        assert len(clocks) == world
        begun, end, used = zip(*clocks, strict=True)
        return Seconds(max(end) - min(begun), max(used))


def bare(what: str, X: Tensor) -> Seconds:
    begun, used = time.monotonic(), time.process_time()
    if what == "predict":
        sl.predict(small_cnn(), X, batch_size=BATCH[what], device="cpu")
    else:
        sl.deep_lift_shap(small_cnn(), X, n_shuffles=REFERENCES, random_state=0, device="cpu")
    return Seconds(time.monotonic() - begun, time.process_time() - used)


def alone(what: str) -> dict[str, Seconds]:
    """Return the seconds of the bare call and of a run, in this process."""
    X = sequences(what)
    for call in (lambda: bare(what, X[: len(X) // 16]), lambda: run(what, X[: len(X) // 16], 1)):
        call()  # the first call of a process loads and compiles
    return {"bare": bare(what, X), "one": run(what, X, 1)}


def together(what: str) -> dict[str, Seconds]:
    """Return the seconds of a run in two processes that are forked from this one."""
    return {"two": run(what, sequences(what), 2)}


def child(what: str, number: int) -> dict[str, Seconds]:
    """Return what `alone` or `together` does in a process of its own: forks must come before PyTorch starts threads."""
    command = [sys.executable, __file__, "--child", what, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    return {name: Seconds(*each) for name, each in json.loads(done.stdout.strip().splitlines()[-1]).items()}


def processes(rounds: int) -> dict[str, Any]:
    table = {}
    for what in ROWS:
        taken = [child(what, 1) | child(what, 2) for _ in range(rounds)]
        found: dict[str, Any] = {"rows": ROWS[what]}
        for kind in Seconds._fields:
            seconds = [{name: getattr(each, kind) for name, each in one.items()} for one in taken]
            found[kind] = {
                "rows_per_second": {
                    name: ROWS[what] / statistics.median(one[name] for one in seconds) for name in taken[0]
                },
                "two_over_one": statistics.median(one["one"] / one["two"] for one in seconds),
                "one_over_bare": statistics.median(one["one"] / one["bare"] for one in seconds) - 1,
            }
        table[what] = found
        print(what, json.dumps(found, indent=2), flush=True)
    return table


def resuming() -> dict[str, float]:
    """Return seconds of a whole call of run on a folder that is complete, and on one that lacks a shard."""
    X, model = sequences("predict"), small_cnn()
    with tempfile.TemporaryDirectory() as out:
        sl.run(model, X, out, **QUIET)
        found = {}
        for name in ("complete", "one_shard_missing"):
            seconds = []
            for _ in range(5):
                if name != "complete":
                    shard_path(Path(out), 3).unlink()
                start = time.perf_counter()
                sl.run(model, X, out, **QUIET)
                seconds.append(time.perf_counter() - start)
            found[name] = min(seconds)
    return found


def reading(rounds: int) -> dict[str, float]:
    """Return seconds to open results of 100,000 windows and read those at one place, (4, 500) float32 each."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        manifest = Manifest(LOCI, 512, {"name": "benchmark"}, {}, "none")
        rng = np.random.default_rng(0)
        for k in range(manifest.shards):
            values = rng.random((len(manifest.rows_of(k)), 4, LENGTH), dtype=np.float32)
            write_shard(shard_path(out, k), {"attributions": values})
        start = np.arange(LOCI) * 100
        strand = np.full(LOCI, "+")
        write_loci(out, sl.Loci(np.full(LOCI, "chr1"), start, start + LENGTH, strand))
        write_manifest(out, manifest)
        places = iter(rng.integers(0, LOCI * 100, 10 * rounds).tolist())

        def one_locus() -> Any:
            at = next(places)
            return sl.open_results(out)["attributions"][f"chr1:{at}-{at + 1}"]

        opened = sl.open_results(out)
        rows = iter(rng.integers(0, LOCI, 10 * rounds).tolist())
        timings = measure({"locus": one_locus, "row": lambda: opened["attributions"][next(rows)]}, rounds)
        size = sum(one.stat().st_size for one in out.iterdir() if one.is_file())
        return {
            "bytes": size,
            "open_and_read_one_locus_s": timings["locus"].median,
            "read_one_row_when_open_s": timings["row"].median,
        }


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    where = machine()
    results: dict[str, Any] = {
        "workload": {"length": LENGTH, "batch_size": BATCH, "references": REFERENCES, "rounds": rounds},
        "processes": processes(rounds),
        "resuming_s": resuming(),
        "reading": reading(21),
    }
    print(json.dumps({name: results[name] for name in ("resuming_s", "reading")}, indent=2))
    print(write("speed_run", results, where))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        torch.set_num_threads(1)
        print(json.dumps({"1": alone, "2": together}[sys.argv[3]](sys.argv[2])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
