"""Ask whether attributions reveal, while a model trains, an artefact that the validation loss cannot reveal.

Usage: ``python benchmarks/study_artefact.py``; ``--page`` only writes the page from the stored results.
A motif at a random position tells positives from negatives, but some of either kind are labelled wrongly. Some
positives of the training split also carry an 8-base scar, always at the same position, such as an adapter or a cloning
site would leave; no validation sequence does. Two models are trained from the same seeds, "clean" without the scar and
"fooled" with it. Then half of the test split gets the scar, positives and negatives alike.
Writes results/study_artefact.json, docs/pictures/artefact.png and the numbers in docs/artefact.md.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
import warnings
from typing import Any, NamedTuple

import lightning.pytorch as L
import numpy as np
import torch
from harness import describe_machine, read_results, write_results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import BLUE, ORANGE, PICTURES, update_page
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC

import seqlight as sl
from seqlight.datasets.planted import BACKGROUND
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionCallback

MOTIF, SCAR = "TGACTCA", "GGCGCGCC"
LENGTH, SCAR_START = 80, 30
WINDOW = (SCAR_START, SCAR_START + len(SCAR))
TRAIN, VALID, TEST = 3000, 1000, 1000
WRONG, SCARRED = 0.15, 0.15
SEEDS, EPOCHS, PROBES, SHUFFLES = (0, 1, 2, 3, 4), 10, 100, 5
RATE = 0.02


class Rows(NamedTuple):
    """Sequences and labels."""

    X: Tensor
    y: Tensor


class EpochHistory(L.Callback):
    """Keeps the logged metrics and the attributions of each epoch."""

    def __init__(self, attribution: AttributionCallback) -> None:
        self.attribution, self.epochs, self.tracks = attribution, [], []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the metrics and attributions of this epoch."""
        names = {"loss": "valid_loss", "auroc": "valid_auroc", "share": "attribution/window_share"}
        names |= {name: f"attribution/{name}" for name in ("consistency", "kmer_consistency")}
        self.epochs.append({name: float(trainer.callback_metrics[logged]) for name, logged in names.items()})
        self.tracks.append(self.attribution.record.attributions.sum(dim=1))


def draw_rows(n: int, seed: int) -> Rows:
    """Return random sequences, half of them with the motif outside of the window, and labels, some of them wrong."""
    stream = np.random.RandomState(seed)
    X = sl.random_one_hot((n, 4, LENGTH), probs=BACKGROUND, random_state=stream)
    motif = sl.one_hot_encode(MOTIF).to(X.dtype)
    places = np.r_[0 : SCAR_START - len(MOTIF) + 1, WINDOW[1] : LENGTH - len(MOTIF) + 1]
    for row in range(n // 2):
        start = stream.choice(places)
        X[row, :, start : start + len(MOTIF)] = motif
    y = (torch.arange(n) < n // 2).float()
    wrong = torch.from_numpy(stream.random_sample(n) < WRONG)
    return Rows(X, torch.where(wrong, 1 - y, y))


def add_scar(X: Tensor, rows: Tensor) -> Tensor:
    """Return a copy of the sequences with the scar in these rows."""
    X = X.clone()
    X[rows, :, WINDOW[0] : WINDOW[1]] = sl.one_hot_encode(SCAR).to(X.dtype)
    return X


def train_model(seed: int, fooled: bool) -> tuple[dict[str, Any], EpochHistory]:
    """Train one model; return its results and its history."""
    train, valid, test = (draw_rows(n, seed=i) for i, n in enumerate((TRAIN, VALID, TEST)))
    positives = torch.nonzero(train.y == 1)[:, 0]
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(positives)))
    X = add_scar(train.X, positives[order[: int(SCARRED * len(positives))]]) if fooled else train.X
    # A sample of the training positives, as one would choose without knowing of any scar.
    probes = X[positives[:PROBES]]
    L.seed_everything(seed, verbose=False)
    layers = nn.Conv1d(4, 32, 9, padding=4), nn.ReLU(), nn.MaxPool1d(LENGTH), nn.Flatten(), nn.Linear(32, 1)
    model = nn.Sequential(*layers)
    module = TrainModule(model, metrics={"auroc": BinaryAUROC()}, optimizer=adam, scheduler=one_cycle)
    attribution = AttributionCallback(probes, n_shuffles=SHUFFLES, window=WINDOW)
    history = EpochHistory(attribution)
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        callbacks=[attribution, history],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, SequenceDataModule((X, train.y), valid, batch_size=32, seed=seed))
    half = torch.from_numpy(np.random.RandomState(0).permutation(TEST)[: TEST // 2])
    deployed = {"as validated": evaluate(model, test, half)}
    deployed["half scarred"] = evaluate(model, Rows(add_scar(test.X, half), test.y), half)
    profile = history.tracks[-1].mean(dim=0)
    numbers = {"seed": seed, "model": "fooled" if fooled else "clean", "epochs": history.epochs, "test": deployed}
    return numbers | {"largest_position": int(profile.argmax()), "profile": profile.tolist()}, history


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.1)


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps)


def evaluate(model: nn.Module, rows: Rows, half: Tensor) -> dict[str, float]:
    """Return the AUROC over all rows, and the false positive rate among those of `half`."""
    logits = sl.predict(model, rows.X, device="cpu")[:, 0]
    called, negative = logits[half] > 0, rows.y[half] == 0
    return {
        "false_positive_rate": float(called[negative].float().mean()),
        "auroc": float(BinaryAUROC()(logits.sigmoid(), rows.y.long())),
    }


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    rows = ["| | clean | fooled |", "|---|---|---|"]
    kinds = {kind: [one for one in results["runs"] if one["model"] == kind] for kind in ("clean", "fooled")}

    def row(name: str, read: Any, digits: str) -> None:
        cells = []
        for runs in kinds.values():
            values = [read(one) for one in runs]
            spread = f"{min(values):{digits}} to {max(values):{digits}}"
            cells.append(f"{statistics.mean(values):{digits}} ({spread})")
        rows.append(f"| {name} | {' | '.join(cells)} |")

    row("validation loss, last epoch", lambda one: one["epochs"][-1]["loss"], ".3f")
    row("validation loss, best epoch", lambda one: min(epoch["loss"] for epoch in one["epochs"]), ".3f")
    row("validation AUROC, last epoch", lambda one: one["epochs"][-1]["auroc"], ".3f")
    row("test AUROC, sequences as validated", lambda one: one["test"]["as validated"]["auroc"], ".3f")
    row("**test AUROC, half of them scarred**", lambda one: one["test"]["half scarred"]["auroc"], ".3f")
    rate = "false_positive_rate"
    row("false positives of that half, as validated", lambda one: one["test"]["as validated"][rate], ".0%")
    row("**false positives of that half, scarred**", lambda one: one["test"]["half scarred"][rate], ".0%")
    row("share of attribution in the window, first epoch", lambda one: one["epochs"][0]["share"], ".1%")
    row("**share of attribution in the window, last epoch**", lambda one: one["epochs"][-1]["share"], ".1%")
    row("consistency of directions, last epoch", lambda one: one["epochs"][-1]["consistency"], ".2f")
    row("consistency of words, last epoch", lambda one: one["epochs"][-1]["kmer_consistency"], ".2f")
    work = results["workload"]
    note = (
        f"Mean and range of {len(work['seeds'])} seeds; {work['train']:,} training sequences of {work['length']}, "
        f"{work['scarred']:.0%} of the positives scarred; the window is {WINDOW[1] - WINDOW[0]} of {work['length']} "
        f"positions, {(WINDOW[1] - WINDOW[0]) / work['length']:.0%}. The {len(results['runs'])} trainings took "
        f"{work['cpu_seconds']:.0f} s of one core ({results['machine']['cpu']})."
    )
    return "\n".join([*rows, "", note]) + "\n"


def draw(results: dict[str, Any], history: EpochHistory) -> Figure:
    figure = Figure(figsize=(13, 7.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    curves = above.subplots(1, 4)
    for name, ax, title in (
        ("loss", curves[0], "validation loss"),
        ("share", curves[1], "share of attribution in the window"),
    ):
        for one in results["runs"]:
            values = [epoch[name] for epoch in one["epochs"]]
            color = BLUE if one["model"] == "clean" else ORANGE
            ax.plot(range(1, EPOCHS + 1), values, color=color, lw=1.5, label=one["model"] if not one["seed"] else None)
        ax.set(xlabel="epoch", ylim=(0, None))
        ax.set_title(title, fontsize=10)
        ax.legend(frameon=False)
    draw_profiles(curves[2], results)
    draw_outcomes(curves[3], results)
    draw_logos(below, history)
    return figure


def draw_profiles(ax: Axes, results: dict[str, Any]) -> None:
    for one in results["runs"]:
        ax.plot(one["profile"], color=BLUE if one["model"] == "clean" else ORANGE, lw=1)
    ax.axvspan(*WINDOW, color="0.92", zorder=0)
    ax.set(xlabel="position")
    ax.set_title("mean attribution of a position", fontsize=10)


def draw_outcomes(ax: Axes, results: dict[str, Any]) -> None:
    for kind, color in (("clean", BLUE), ("fooled", ORANGE)):
        runs = [one for one in results["runs"] if one["model"] == kind]
        shares = [one["epochs"][-1]["share"] for one in runs]
        rates = [one["test"]["half scarred"]["false_positive_rate"] for one in runs]
        ax.plot(shares, rates, "o", color=color, alpha=0.7)
    ax.set(xlabel="share of attribution in the window", ylim=(0, 1.05), xlim=(0, None))
    ax.set_title("false positives among scarred", fontsize=10)


def draw_logos(figure: Any, history: EpochHistory) -> None:
    """Draw the probe with the highest output over epochs, and the probes with the next highest after the last epoch."""
    X, order = history.attribution.sequences, history.attribution.record.outputs.argsort(descending=True).tolist()
    epochs = [0, 1, 3, EPOCHS - 1]
    axes = figure.subplots(len(epochs), 2, sharex=True, sharey=True)
    for i, epoch in enumerate(epochs):
        draw_logo(axes[i, 0], X[order[0]] * history.tracks[epoch][order[0]], f"epoch {epoch + 1}")
        draw_logo(axes[i, 1], X[order[i + 1]] * history.tracks[-1][order[i + 1]], f"rank {i + 2}")
    axes[0, 0].set_title(
        "fooled model of seed 0: the training positive with the highest output, over epochs", fontsize=10
    )
    axes[0, 1].set_title("those with the next highest outputs, last epoch", fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("position; grey: where the scar is")


def draw_logo(ax: Axes, attribution: Tensor, name: str) -> None:
    sl.plot_logo(attribution, ax=ax)
    ax.axvspan(WINDOW[0], WINDOW[1], color="0.92", zorder=0)
    ax.set_ylabel(name, fontsize=9)


def main() -> None:
    if "--page" not in sys.argv:
        warnings.filterwarnings("ignore", ".*does not have many workers.*|.*LeafSpec.*")
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        # The model is too small for several threads.
        torch.set_num_threads(1)
        machine, start, runs = describe_machine(), time.process_time(), []
        for seed in SEEDS:
            for fooled in (False, True):
                numbers, history = train_model(seed, fooled)
                runs.append(numbers)
                if fooled and seed == 0:
                    shown = history
                print(seed, numbers["model"], numbers["epochs"][-1], numbers["test"], flush=True)
        workload = {"seeds": SEEDS, "train": TRAIN, "length": LENGTH, "scarred": SCARRED, "labelled_wrongly": WRONG}
        workload |= {"scar": SCAR, "window": WINDOW, "probes": PROBES, "cpu_seconds": time.process_time() - start}
        write_results("study_artefact", {"workload": workload, "runs": runs}, machine)
        draw(read_results("study_artefact"), shown).savefig(PICTURES / "artefact.png", dpi=110)
    update_page("artefact", table(read_results("study_artefact")))


if __name__ == "__main__":
    main()
