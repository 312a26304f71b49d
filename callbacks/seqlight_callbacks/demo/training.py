"""Training a task of the demo with a stock Lightning Trainer and the callbacks."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning.pytorch as L
import pandas as pd
import torch
from lightning.pytorch.loggers import CSVLogger
from torchmetrics.classification import BinaryAUROC

from seqlight.errors import InputError
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.schedules import OneCycle
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionCallback, AttributionReport, LogoCallback, SeqletCallback
from seqlight_callbacks.demo.task import Task

PROBES = 100
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 0.3


@dataclass(frozen=True)
class Run:
    """A trained task, with what its callbacks recorded.

    Attributes
    ----------
    task : Task
        Its model is trained.
    seed : int
        The seed of everything random.
    metrics : pandas.DataFrame
        What was logged, a row per epoch.
    test : dict of str to float
        The metrics on the test split.
    attribution, seqlets, report
        The callbacks, with their last records.
    """

    task: Task
    seed: int
    metrics: pd.DataFrame
    test: dict[str, float]
    attribution: AttributionCallback
    seqlets: SeqletCallback
    report: AttributionReport

    def numbers(self) -> dict[str, str]:
        """Return the numbers that say whether it worked, as text."""
        last = self.metrics.iloc[-1]
        numbers = {
            "AUROC on the test split": f"{self.test['test_auroc']:.4f}",
            "convergence delta": f"{last['attribution/delta']:.3g}",
        }
        share = f"{last['seqlets/precision']:.4f}"
        if self.task.window is not None:
            return numbers | {f"share of strong seqlets that overlap the {self.task.motif}": share}
        return numbers | {
            f"recall of {self.task.motif} by strong seqlets": f"{last['seqlets/recall']:.4f}",
            "precision of strong seqlets": share,
        }


class EpochPrinter(L.Callback):
    """Prints a line for each epoch."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the metrics of an epoch."""
        if trainer.sanity_checking:
            return
        seen = {name: float(value) for name, value in trainer.callback_metrics.items()}
        share = seen.get("attribution/window_share")
        print(
            f"epoch {trainer.current_epoch + 1:2d}/{trainer.max_epochs}"
            f"  loss {seen['valid_loss']:.3f}  AUROC {seen['valid_auroc']:.3f}"
            + ("" if share is None else f"  attribution in the window {share:4.0%}")
            + f"  seqlets {seen['seqlets/count']:.0f}, precision {seen['seqlets/precision']:4.0%}",
            flush=True,
        )


class DemoReport(AttributionReport):
    """The report of a training that fails; that of one that succeeds is written later, with the test metrics."""

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write nothing."""


def train(task: Task, out: Path, epochs: int, seed: int) -> Run:
    """Train the model of `task`, with attributions and seqlets at the end of each epoch.

    Parameters
    ----------
    task : Task
        The data and the model.
    out : pathlib.Path
        The folder for metrics, figures and attributions; those of an earlier run are removed.
    epochs, seed : int
        How long to train, and the seed of everything random.

    Returns
    -------
    Run
    """
    if epochs < 1:
        raise InputError(f"epochs is {epochs}: expected 1 or more.")
    _remove_earlier_run(out)
    L.seed_everything(seed, verbose=False)
    optimizer = partial(torch.optim.AdamW, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    module = TrainModule(
        task.model, metrics={"auroc": BinaryAUROC()}, optimizer=optimizer, scheduler=OneCycle(LEARNING_RATE)
    )
    train_rows, valid_rows, test_rows = ((one.X, one.y) for one in (task.data.train, task.data.valid, task.data.test))
    data = SequenceDataModule(train_rows, valid_rows, test_rows, seed=seed)
    probes = task.data.valid.X[:PROBES]  # positives come first
    attribution = AttributionCallback(
        probes, random_state=seed, untrained=True, window=task.window, out=out / "attributions"
    )
    seqlets = SeqletCallback(known=task.known(PROBES), out=out / "seqlets")
    report = DemoReport(
        path=out / "report.html",
        title=task.title,
        lead=task.answer,
        motif=task.motif,
        zero=task.ruler.zero,
        origin=task.ruler.origin,
    )
    with _quiet_lightning():
        trainer = _trainer(out, epochs, [attribution, seqlets, LogoCallback(), report, EpochPrinter()])
        trainer.fit(module, data)
        (test,) = trainer.test(module, data, verbose=False)
    metrics = pd.read_csv(out / "log" / "metrics.csv").groupby("epoch").first().drop(columns="step")
    metrics = metrics[metrics["valid_loss"].notna()]
    return Run(task, seed, metrics, dict(test), attribution, seqlets, report)


def _trainer(out: Path, epochs: int, callbacks: list[L.Callback]) -> L.Trainer:
    return L.Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        logger=CSVLogger(out, name="log", version=""),
        devices=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


def _remove_earlier_run(out: Path) -> None:
    """Remove the files that an earlier run wrote, and no others."""
    for pattern in (
        "attributions/epoch-*.npz",
        "seqlets/epoch-*.csv",
        "log/metrics.csv",
        "log/hparams.yaml",
        "log/figures/logos-epoch-*.png",
    ):
        for path in out.glob(pattern):
            path.unlink()


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning, whose messages would come between the lines of the epochs."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # The data are in memory, so workers would only cost time.
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            # From Lightning's own use of PyTorch.
            warnings.filterwarnings("ignore", ".*LeafSpec.*")
            # The folder of an earlier run, which was emptied.
            warnings.filterwarnings("ignore", ".*Experiment logs directory.*")
            yield
    finally:
        log.setLevel(level)
