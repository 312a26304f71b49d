"""Measure what the callbacks cost in each epoch, beside the bare attribution of the same sequences.

Usage: ``OMP_NUM_THREADS=1 python benchmarks/cost_callbacks.py [epochs]``. At the end of each validation epoch the
hooks of the callbacks are timed together, and right after them ``sl.deep_lift_shap`` of the same model, sequences and
references; each process has one thread. Then the same in two processes, which share the sequences.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from harness import count_argument, describe_machine, write_results
from torch import nn

import seqlight as sl
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionCallback, SeqletCallback
from seqlight_callbacks.explainer import ROWS_ON_CPU

PROBES, LENGTH, SHUFFLES, ROWS = 64, 500, 20, 512
MAX_RATIO = 1.05
CALLBACKS = ("attribution", "attribution and seqlets")


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 64, 15, padding=7),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(64, 64, 7, padding=3),
        nn.ReLU(),
        nn.MaxPool1d(5),
        nn.Flatten(),
        nn.Linear(64 * LENGTH // 20, 1),
    )


def make_data() -> SequenceDataModule:
    X = sl.random_one_hot((ROWS, 4, LENGTH), random_state=1)
    y = (X[:, 0].sum(dim=1) > LENGTH / 4).float()
    return SequenceDataModule((X, y), (X[:64], y[:64]), batch_size=64)


class Seconds(NamedTuple):
    """Time on the wall clock, and of the processor, which hardly depends on what else the machine does."""

    wall: float
    processor: float


def now() -> Seconds:
    return Seconds(time.perf_counter(), time.process_time())


def elapsed_since(start: Seconds) -> Seconds:
    return Seconds(*(b - a for a, b in zip(start, now(), strict=True)))


class Clock(L.Callback):
    """The first of the callbacks: starts the clocks, and writes the measurements at the end of the training."""

    def __init__(self, attribution: AttributionCallback, path: Path) -> None:
        self.attribution, self.path = attribution, path
        self.hooks: list[Seconds] = []
        self.bare: list[Seconds] = []
        self.epochs: list[Seconds] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the epoch."""
        self.epoch_began = now()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the hooks, since all other callbacks are called after this one."""
        if not trainer.sanity_checking:
            self.epochs.append(elapsed_since(self.epoch_began))
            self.began = now()

    def stop(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock of the hooks, and time the bare attribution."""
        self.hooks.append(elapsed_since(self.began))
        if trainer.world_size == 1:
            start = now()
            sl.deep_lift_shap(
                pl_module,
                self.attribution.sequences,
                references=self.attribution.references,
                batch_size=ROWS_ON_CPU,
                device="cpu",
            )
            self.bare.append(elapsed_since(start))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the measurements to a file, since this process may be a fork."""
        if trainer.is_global_zero:
            self.path.write_text(json.dumps({"hooks": self.hooks, "bare": self.bare, "epochs": self.epochs}))


class ClockStop(L.Callback):
    """The last of the callbacks: stops the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock of the hooks."""
        if not trainer.sanity_checking:
            self.clock.stop(trainer, pl_module)


def train_and_time(epochs: int, processes: int, what: str, path: Path) -> None:
    """Train, and write the measurements of the first process."""
    attribution = AttributionCallback(sl.random_one_hot((PROBES, 4, LENGTH), random_state=0), n_shuffles=SHUFFLES)
    clock = Clock(attribution, path)
    measured = [attribution, SeqletCallback()][: CALLBACKS.index(what) + 1]
    trainer = L.Trainer(
        max_epochs=epochs,
        callbacks=[clock, *measured, ClockStop(clock)],
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(TrainModule(make_model()), make_data())


def run_in_fresh_process(epochs: int, processes: int, what: str) -> dict[str, list[Seconds]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seconds.json"
        command = [sys.executable, __file__, "--run", str(epochs), str(processes), what, str(path)]
        subprocess.run(command, check=True, timeout=900, capture_output=True, cwd=folder)
        # Without the first epoch, which loads and compiles.
        return {name: [Seconds(*one) for one in found[1:]] for name, found in json.loads(path.read_text()).items()}


def main(epochs: int, rounds: int = 2) -> None:
    machine = describe_machine()
    runs: dict[tuple[str, int], dict[str, list[Seconds]]] = {(what, n): {} for what in CALLBACKS for n in (1, 2)}
    for _ in range(rounds):
        for (what, processes), found in runs.items():
            for name, seconds in run_in_fresh_process(epochs, processes, what).items():
                found.setdefault(name, []).extend(seconds)
    results: dict[str, Any] = {
        "workload": {
            "probes": PROBES,
            "length": LENGTH,
            "n_shuffles": SHUFFLES,
            "epochs": rounds * (epochs - 1),
            "threads_a_process": 1,
        },
        **{what: compare(runs[what, 1], runs[what, 2]) for what in CALLBACKS},
    }
    print(json.dumps(results, indent=1))
    print(write_results("cost_callbacks", results, machine))
    if results["attribution"]["ratios"]["processor"]["callbacks_over_bare"] > MAX_RATIO:
        raise SystemExit(f"costs more than {MAX_RATIO} times the bare attribution")


def compare(one: dict[str, list[Seconds]], two: dict[str, list[Seconds]]) -> dict[str, Any]:
    ratios = {
        clock: {
            "callbacks_over_bare": least(one["hooks"], clock) / least(one["bare"], clock),
            "median_of_pairs": statistics.median(
                getattr(a, clock) / getattr(b, clock) for a, b in zip(one["hooks"], one["bare"], strict=True)
            ),
            "two_processes_over_one": least(two["hooks"], clock) / least(one["hooks"], clock),
        }
        for clock in Seconds._fields
    }
    return {
        "bare_attribution_s": summarize(one["bare"]),
        "one_process_s": summarize(one["hooks"]),
        "two_processes_s": summarize(two["hooks"]),
        "rest_of_the_epoch_s": summarize(one["epochs"]),
        "ratios": ratios,
    }


def least(seconds: list[Seconds], clock: str) -> float:
    return min(getattr(one, clock) for one in seconds)


def summarize(seconds: list[Seconds]) -> dict[str, dict[str, float]]:
    return {
        clock: {"least": least(seconds, clock), "median": statistics.median(getattr(one, clock) for one in seconds)}
        for clock in Seconds._fields
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--run"]:
        train_and_time(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
    else:
        main(count_argument(7))
