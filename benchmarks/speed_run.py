"""Time ``seqlight.run`` in one and two processes against the bare function, its resumption, and reading its results.

Usage: ``python benchmarks/speed_run.py [rounds]``. Every process has one thread. The model is a small CNN. A run is
timed from inside, from the first batch of any process to the end of all: this part grows with the rows, unlike the
start of Python and Lightning. In each round a bare call, a run in one process and a run in two follow each other and
are compared; the ratios are medians over the rounds. Next to wall-clock time there is processor time, of the process
that took most of it. Other work on the machine disturbs it less: its ratio is the speedup of processes that have a core
each.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import lightning.pytorch as L
import numpy as np
import torch
from harness import count_argument, describe_machine, run_script, time_in_turn, write_results
from speed_predict import small_cnn
from torch import Tensor

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule
from seqlight.results.loci import write_loci
from seqlight.results.manifest import Manifest, write_manifest
from seqlight.results.shards import shard_path, write_shard

LENGTH, REFERENCES = 500, 20
ROWS = {"predict": 49_152, "deep_lift_shap": 1024}
BATCH = {"predict": 256, "deep_lift_shap": 64}
LOCI = 100_000
QUIET: dict[str, Any] = {"accelerator": "cpu", "progress": False}


class Seconds(NamedTuple):
    """Wall-clock time, and processor time."""

    clock: float
    processor: float


class Clock(L.Callback):
    """Writes when each process began its first batch and ended its last, and the processor time in between."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks."""
        self.began, self.used = time.monotonic(), time.process_time()

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop them."""
        note = self.folder / f"rank-{trainer.global_rank}.json"
        note.write_text(json.dumps([self.began, time.monotonic(), time.process_time() - self.used]))


def make_sequences(what: str) -> Tensor:
    return sl.random_one_hot((ROWS[what], 4, LENGTH), random_state=0)


def make_module(what: str) -> L.LightningModule:
    model = small_cnn()
    return PredictModule(model) if what == "predict" else DeepLiftShapModule(model, n_shuffles=REFERENCES)


def time_run(what: str, X: Tensor, world: int) -> Seconds:
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "clock"
        notes.mkdir()
        more = {"devices": world, "strategy": "ddp_fork"} if world > 1 else {}
        sl.run(
            make_module(what),
            X,
            f"{folder}/out",
            callbacks=[Clock(str(notes))],
            batch_size=BATCH[what],
            **QUIET,
            **more,
        )
        clocks = [json.loads(one.read_text()) for one in notes.iterdir()]
        assert len(clocks) == world
        began, end, used = zip(*clocks, strict=True)
        return Seconds(max(end) - min(began), max(used))


def time_function(what: str, X: Tensor) -> Seconds:
    began, used = time.monotonic(), time.process_time()
    if what == "predict":
        sl.predict(small_cnn(), X, batch_size=BATCH[what], device="cpu")
    else:
        sl.deep_lift_shap(small_cnn(), X, n_shuffles=REFERENCES, random_state=0, device="cpu")
    return Seconds(time.monotonic() - began, time.process_time() - used)


def time_one_process(what: str) -> dict[str, Seconds]:
    """Return the seconds of the bare call and of a run, both in this process."""
    X = make_sequences(what)
    few = X[: len(X) // 16]
    # The first calls of a process load and compile.
    time_function(what, few)
    time_run(what, few, 1)
    return {"bare": time_function(what, X), "one": time_run(what, X, 1)}


def time_two_processes(what: str) -> dict[str, Seconds]:
    """Return the seconds of a run in two processes that are forked from this one."""
    return {"two": time_run(what, make_sequences(what), 2)}


def time_in_child(what: str, processes: int) -> dict[str, Seconds]:
    """Time one or two processes from a fresh one, since forks must come before PyTorch starts threads."""
    seconds = run_script(__file__, "--child", what, processes, timeout=500)
    return {name: Seconds(*each) for name, each in seconds.items()}


def compare_processes(rounds: int) -> dict[str, Any]:
    table = {}
    for what in ROWS:
        taken = [time_in_child(what, 1) | time_in_child(what, 2) for _ in range(rounds)]
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


def time_resuming() -> dict[str, float]:
    """Return the seconds of a whole call of `run` on a complete folder, and on one that lacks a shard."""
    X, model = make_sequences("predict"), small_cnn()
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


def time_reading(rounds: int) -> dict[str, float]:
    """Return the seconds to open results of 100,000 windows, (4, 500) float32 each, and read those at one locus."""
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
        positions = iter(rng.integers(0, LOCI * 100, 10 * rounds).tolist())

        def read_one_locus() -> Any:
            at = next(positions)
            return sl.open_results(out)["attributions"][f"chr1:{at}-{at + 1}"]

        opened = sl.open_results(out)
        rows = iter(rng.integers(0, LOCI, 10 * rounds).tolist())
        timings = time_in_turn({"locus": read_one_locus, "row": lambda: opened["attributions"][next(rows)]}, rounds)
        size = sum(one.stat().st_size for one in out.iterdir() if one.is_file())
        return {
            "bytes": size,
            "open_and_read_one_locus_s": timings["locus"].median,
            "read_one_row_when_open_s": timings["row"].median,
        }


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    machine = describe_machine()
    results: dict[str, Any] = {
        "workload": {"length": LENGTH, "batch_size": BATCH, "references": REFERENCES, "rounds": rounds},
        "processes": compare_processes(rounds),
        "resuming_s": time_resuming(),
        "reading": time_reading(21),
    }
    print(json.dumps({name: results[name] for name in ("resuming_s", "reading")}, indent=2))
    print(write_results("speed_run", results, machine))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        torch.set_num_threads(1)
        print(json.dumps({"1": time_one_process, "2": time_two_processes}[sys.argv[3]](sys.argv[2])))
    else:
        main(count_argument(5))
