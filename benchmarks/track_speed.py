"""Time ``seqlight.track`` against ``seqlight.run`` over the same windows, which keeps all and writes no bigWig file.

Usage: ``python benchmarks/track_speed.py [rounds]``. DeepLIFT/SHAP of a small CNN and of a network like BPNet, with 20
references, over random letters: windows of 2,114 of which the middle 1,000 positions are kept. In each round both run
in turn, in one process with one thread; the times are of the whole calls, on the clock and of the processor, and the
ratio is that of the medians. On a busy machine, go by the time of the processor.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from harness import count_argument, describe_machine, write_results
from networks import bpnet_like
from speed_predict import small_cnn
from torch import nn

import seqlight as sl
from seqlight.datasets.tiled_genome import TiledGenome
from seqlight.lit import DeepLiftShapModule

WINDOW, TILE, REFERENCES = 2114, 1000, 20
WINDOWS = {"small CNN": 400, "BPNet-like": 32}
QUIET: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "progress": False, "batch_size": 32}


def write_genome(path: Path, positions: int) -> None:
    text = sl.characters(sl.random_one_hot((1, 4, positions), random_state=0)[0])
    lines = [text[i : i + 60] for i in range(0, len(text), 60)]
    path.write_text("\n".join([">chr1", *lines]) + "\n")


def time_both(model: nn.Module, genome: Path, rounds: int) -> dict[str, Any]:
    """Return the seconds of each round, on the clock and of the processor."""
    calls = {
        "run": lambda out: sl.run(module(), TiledGenome(genome, WINDOW, TILE), out, **QUIET),
        "track": lambda out: sl.track(module(), genome, out, window=WINDOW, tile=TILE, **QUIET),
    }

    def module() -> DeepLiftShapModule:
        return DeepLiftShapModule(model, n_shuffles=REFERENCES, identity="the network")

    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            with tempfile.TemporaryDirectory() as folder:
                began, used = time.perf_counter(), time.process_time()
                call(f"{folder}/out")
                taken = time.perf_counter() - began, time.process_time() - used
            if i:  # the first round loads and compiles
                seconds[name].append(taken)
    usual = {name: [statistics.median(one) for one in zip(*taken, strict=True)] for name, taken in seconds.items()}
    shares = {kind: usual["run"][i] / usual["track"][i] for i, kind in enumerate(("on the clock", "of the processor"))}
    return {"seconds": seconds, "throughput_of_track_over_run": shares}


def main() -> None:
    rounds = count_argument(5)
    torch.set_num_threads(1)
    machine, found = describe_machine(), dict[str, Any]()
    for name, model in {"small CNN": small_cnn(), "BPNet-like": bpnet_like()}.items():
        with tempfile.TemporaryDirectory() as folder:
            genome = Path(folder) / "genome.fa"
            write_genome(genome, WINDOWS[name] * TILE)
            found[name] = {"windows": WINDOWS[name], **time_both(model, genome, rounds)}
        print(name, json.dumps(found[name]["throughput_of_track_over_run"]), flush=True)
    settings = {"window": WINDOW, "tile": TILE, "references": REFERENCES, "rounds": rounds}
    print(write_results("track_speed", {**settings, "models": found}, machine))


if __name__ == "__main__":
    main()
