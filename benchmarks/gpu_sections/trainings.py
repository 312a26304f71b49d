"""Callbacks in a training, and runs through Lightning, on one device."""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn

import seqlight as sl
from gpu_sections.bench import Bench, difference, without_warnings
from gpu_sections.workloads import REFERENCES, make_workload
from seqlight.lit import DeepLiftShapModule, PredictModule
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionCallback

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class HookTimer(L.Callback):
    """The seconds of each attribution: between the first and the last callback at the end of a validation."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.seconds, self.begun = bench, list[float](), 0.0

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin, since this callback is the first."""
        self.bench.wait()
        self.begun = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End."""
        self.bench.wait()
        self.seconds.append(time.perf_counter() - self.begun)


def training(bench: Bench) -> dict[str, Any] | str:
    """Train with and without the callback: what it costs, and whether the weights stay the same, bit for bit."""
    if bench.accelerator is None:
        return "Lightning has no accelerator for this device"
    found: dict[str, Any] = {}
    for precision in ("32-true", *(("16-mixed", "bf16-mixed") if bench.cuda else ())):
        timer = HookTimer(bench)
        alone, watched = _train(bench, precision, None), _train(bench, precision, timer)
        equal = all(torch.equal(a, b) for a, b in zip(alone[1], watched[1], strict=True))
        found[precision] = {"seconds alone": alone[0], "seconds with callback": watched[0], "equal weights": equal}
        found[precision]["seconds of each attribution"] = timer.seconds
        bench.expect(equal, f"a training in {precision} with the callback ends with other weights")
    return found


def _train(bench: Bench, precision: str, timer: HookTimer | None) -> tuple[float, list[Tensor]]:
    rows, length = (64, 100) if bench.small else (2048, 500)
    X = sl.random_one_hot((rows, 4, length), random_state=1)
    y = (X[:, 0].sum(dim=1) > length / 4).float()
    L.seed_everything(0, verbose=False)
    body = [nn.Conv1d(4, 64, 15, padding=7), nn.ReLU(), nn.MaxPool1d(5), nn.Conv1d(64, 64, 7, padding=3), nn.ReLU()]
    network = nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.1), nn.Linear(64 * (length // 5), 1))
    callbacks = [] if timer is None else [timer, AttributionCallback(X[:32], n_shuffles=REFERENCES, batch_size=640)]
    # cuDNN may choose an algorithm that is not deterministic: then two trainings differ in any case.
    settings: dict[str, Any] = {"devices": 1, "max_epochs": 3, "deterministic": "warn", "precision": precision}
    with tempfile.TemporaryDirectory() as folder, without_warnings():
        trainer = L.Trainer(
            accelerator=bench.accelerator, callbacks=callbacks, default_root_dir=folder, **QUIET | settings
        )
        start = time.perf_counter()
        trainer.fit(TrainModule(network), SequenceDataModule((X, y), (X[:64], y[:64]), batch_size=64))
        bench.wait()
        seconds = time.perf_counter() - start
    return seconds, [one.detach().cpu().clone() for one in network.parameters()]


def running(bench: Bench) -> dict[str, Any] | str:
    """Run attributions and predictions through Lightning, beside the functions alone."""
    if bench.accelerator is None:
        return "Lightning has no accelerator for this device"
    model, X = make_workload(bench, "basset-like", 16 if bench.small else 512)
    there, size = copy.deepcopy(model).to(bench.device), 40 if bench.small else 640
    settings: dict[str, Any] = {"devices": 1, "accelerator": bench.accelerator, "progress": False}
    alone: dict[str, Any] = {"random_state": 0, "device": bench.device, "batch_size": size}
    found: dict[str, Any] = {"alone": bench.seconds(lambda: sl.deep_lift_shap(there, X, **alone), 2)}
    with tempfile.TemporaryDirectory() as folder, without_warnings():
        out, module = Path(folder), DeepLiftShapModule(there, batch_size=size)
        seconds = []
        for k in range(2):
            start = time.perf_counter()
            results = sl.run(module, X, out=out / str(k), batch_size=size // REFERENCES, **settings)
            seconds.append(time.perf_counter() - start)
        found |= {"run": seconds, "run over alone": min(seconds) / found["alone"]["least"]}
        found["attributions"] = difference(_tensor(results["attributions"]), sl.deep_lift_shap(there, X, **alone))
        start = time.perf_counter()
        results = sl.run(PredictModule(there), X, out=out / "predictions", batch_size=256, **settings)
        found["seconds of predictions"] = time.perf_counter() - start
        found["predictions"] = difference(_tensor(results["predictions"]), sl.predict(there, X, device=bench.device))
        for precision in ("16-mixed", "bf16-mixed") if bench.cuda else ():
            results = sl.run(module, X[:8], out=out / precision, precision=precision, **settings)
            found[precision] = difference(_tensor(results["attributions"]), sl.deep_lift_shap(there, X[:8], **alone))
            bench.expect_near(found[precision], 1e-3, f"run in {precision}")
    bench.expect_near(found["attributions"], 1e-3, "run")
    return found


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array[:])
