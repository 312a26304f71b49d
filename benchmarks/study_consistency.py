"""Ask whether the consistency of attributions tells which network has learned motifs, and which checkpoint to keep.

Usage: ``python benchmarks/study_consistency.py``; ``--page`` only writes the page from the stored results.
Positives have an AP-1 and a CTCF site each, negatives are shuffled. The same network is left untrained, trained on all
sequences, trained on so few that it learns them by heart, and trained on labels in random order; both measures are
taken on 30, 100 and 300 positives of the validation split. Then it is trained on few sequences for long, and the
checkpoint with the least validation loss is compared with the most consistent one, by what they find in the test split.
Last, the layers of the trained network are re-initialised, from the output on.
Writes results/study_consistency.json, docs/pictures/consistency.png and the numbers in docs/consistency.md.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
import warnings
from typing import Any

import lightning.pytorch as L
import pandas as pd
import torch
from harness import describe_machine, read_results, write_results
from lightning.pytorch.callbacks import ModelCheckpoint
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import BLUE, GREEN, ORANGE, PICTURES, PINK, update_page
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC

import seqlight as sl
from seqlight.datasets.labelled import LabelledSplit
from seqlight.datasets.planted import load_planted
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule
from seqlight.metrics import attribution_consistency, kmer_consistency, motif_interval_share
from seqlight.studies import parameter_randomization
from seqlight_callbacks import AttributionCallback

SEEDS, N, LENGTH = (0, 1, 2, 3), 4000, 100
NUMBERS = (30, 100, 300)
KINDS = ("untrained", "trained", "by heart", "random labels")
FEW, EPOCHS, PROBES, SHUFFLES, RATE = 1000, 20, 100, 5, 3e-3
CHOICES = ("least loss", "most consistent directions", "most consistent words", "last")
COLORS = dict(zip(KINDS, ("0.6", GREEN, ORANGE, PINK), strict=True))


class Epochs(L.Callback):
    """Keeps the logged numbers of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep those of this epoch."""
        names = {"loss": "valid_loss", "directions": "attribution/consistency", "words": "attribution/kmer_consistency"}
        self.epochs.append({name: float(trainer.callback_metrics[logged]) for name, logged in names.items()})


def make_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv1d(4, 32, 11, padding=5),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(32, 32, 7, padding=3),
        nn.ReLU(),
        nn.MaxPool1d(5),
        nn.Flatten(),
        nn.Linear(160, 1),
    )


def train(seed: int, X: Tensor, y: Tensor, epochs: int) -> nn.Module:
    model = make_network(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(64):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(X[rows].float())[:, 0], y[rows]).backward()
            optimizer.step()
    return model.eval()


def labels(split: LabelledSplit) -> Tensor:
    return torch.as_tensor(split.y).float()


def positives(split: LabelledSplit) -> Tensor:
    return split.X[labels(split) == 1]


def few_rows(split: LabelledSplit, n: int) -> tuple[Tensor, Tensor]:
    """Return the first positives and negatives, as many of each."""
    y = labels(split)
    rows = torch.cat([torch.nonzero(y == one)[: n // 2, 0] for one in (1, 0)])
    return split.X[rows], y[rows]


def auroc(model: nn.Module, split: LabelledSplit) -> float:
    return float(BinaryAUROC()(sl.predict(model, split.X, device="cpu")[:, 0].sigmoid(), labels(split).long()))


def measure(model: nn.Module, X: Tensor) -> dict[str, float]:
    maps = sl.attribute(model, X, n_shuffles=SHUFFLES, random_state=0, device="cpu").hypothetical
    return {"directions": float(attribution_consistency(maps)), "words": float(kmer_consistency(maps, X))}


def compare_networks(seed: int) -> list[dict[str, Any]]:
    """Return both measures for each kind of network."""
    data = load_planted(N, length=LENGTH, seed=seed)
    X, y = data.train.X, labels(data.train)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    models = {
        "untrained": make_network(seed).eval(),
        "trained": train(seed, X, y, 12),
        "by heart": train(seed, *few_rows(data.train, 120), 60),
        "random labels": train(seed, X, y[order], 20),
    }
    probes = positives(data.valid)
    return [
        {
            "seed": seed,
            "model": kind,
            "auroc": auroc(model, data.valid),
            "measures": {str(n): measure(model, probes[:n]) for n in NUMBERS},
        }
        for kind, model in models.items()
    ]


def choose_checkpoints(seed: int) -> dict[str, Any]:
    """Train on few sequences for long; return the epochs, and what each chosen checkpoint finds on the test split."""
    data = load_planted(N, length=LENGTH, seed=seed)
    monitors = ("valid_loss", "attribution/consistency", "attribution/kmer_consistency")
    history = Epochs()
    with tempfile.TemporaryDirectory() as folder:
        kept = [
            ModelCheckpoint(folder, f"{i}-{{epoch}}", monitor=monitor, mode="max" if i else "min")
            for i, monitor in enumerate(monitors)
        ]
        probes = AttributionCallback(positives(data.valid)[:PROBES], n_shuffles=SHUFFLES)
        module = TrainModule(make_network(seed), optimizer=lambda p: torch.optim.AdamW(p, lr=RATE))
        trainer = L.Trainer(
            max_epochs=EPOCHS,
            callbacks=[probes, history, *kept],
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        valid = data.valid.X, labels(data.valid)
        trainer.fit(module, SequenceDataModule(few_rows(data.train, FEW), valid, batch_size=32, seed=seed))
        found = {"last": test(module.model, data.test) | {"epoch": EPOCHS}}
        for choice, one in zip(CHOICES, kept, strict=False):
            state = torch.load(one.best_model_path, weights_only=True)
            module.load_state_dict(state["state_dict"])
            found[choice] = test(module.model, data.test) | {"epoch": state["epoch"] + 1}
    return {"seed": seed, "epochs": history.epochs, "choices": found}


def test(model: nn.Module, split: LabelledSplit) -> dict[str, float]:
    """Return the AUROC, and the share of positive attribution that lies in the planted sites."""
    rows = torch.nonzero(labels(split) == 1)[:, 0]
    place = {int(row): i for i, row in enumerate(rows)}
    motifs = split.motifs
    columns = {"example_idx": [place[int(i)] for i in motifs.example_idx], "start": motifs.start, "end": motifs.end}
    maps = sl.deep_lift_shap(model, split.X[rows], n_shuffles=SHUFFLES, random_state=0, device="cpu")
    return {"auroc": auroc(model, split), "share": float(motif_interval_share(maps, pd.DataFrame(columns)))}


def check_sanity(seed: int) -> list[dict[str, Any]]:
    """Return how similar attributions stay while the layers of a trained network are re-initialised."""
    data = load_planted(N, length=LENGTH, seed=seed)
    model, X = train(seed, data.train.X, labels(data.train), 12), positives(data.valid)[:PROBES]
    rows = []
    for name, explain, settings in (
        ("deep_lift_shap", sl.deep_lift_shap, {"n_shuffles": SHUFFLES}),
        ("input_x_gradient", sl.input_x_gradient, {}),
    ):
        found = parameter_randomization(model, X, explain, device="cpu", **settings)
        rows.append({"seed": seed, "method": name, "table": found.table.to_dict("list"), "alike": found.alike})
    return rows


def spread(values: list[float], digits: str) -> str:
    return f"{statistics.mean(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    head = [f"{measure}, {n}" for measure in ("directions", "words") for n in NUMBERS]
    lines = [f"| network | validation AUROC | {' | '.join(head)} |", "|---" * (len(head) + 2) + "|"]
    for kind in KINDS:
        runs = [one for one in results["networks"] if one["model"] == kind]
        cells = [f"{statistics.mean(one['auroc'] for one in runs):.2f}"]
        for measure in ("directions", "words"):
            cells += [f"{statistics.mean(one['measures'][str(n)][measure] for one in runs):.2f}" for n in NUMBERS]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    lines += ["", "| checkpoint | epoch | test AUROC | attribution in planted sites |", "|---|---|---|---|"]
    for choice in CHOICES:
        found = [one["choices"][choice] for one in results["trainings"]]
        cells = [spread([float(one[name]) for one in found], digits) for name, digits in CELLS]
        lines.append(f"| {choice} | {' | '.join(cells)} |")
    lines += ["", "| method | re-initialised down to | rank correlation | of magnitudes |", "|---|---|---|---|"]
    for method in ("deep_lift_shap", "input_x_gradient"):
        tables = [one["table"] for one in results["sanity"] if one["method"] == method]
        for i, layer in enumerate(tables[0]["layer"]):
            names = ("rank_correlation", "magnitude_rank_correlation")
            cells = [spread([one[name][i] for one in tables], ".2f") for name in names]
            module = f"{tables[0]['module'][i]} `{layer}`"
            lines.append(f"| {method} | {module} | {' | '.join(cells)} |")
    work = results["workload"]
    note = (
        f"Means, and ranges in parentheses, of {len(work['seeds'])} seeds. The checkpoints are of trainings on "
        f"{work['few']} sequences for {work['epochs']} epochs. It took {work['cpu_seconds']:.0f} s of one core "
        f"({results['machine']['cpu']})."
    )
    return "\n".join([*lines, "", note]) + "\n"


CELLS = (("epoch", ".0f"), ("auroc", ".3f"), ("share", ".0%"))


def draw(results: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    directions, words, curves = figure.subplots(1, 3)
    for measure, ax in (("directions", directions), ("words", words)):
        draw_measure(ax, results, measure)
    one = results["trainings"][0]["epochs"]
    x = range(1, len(one) + 1)
    for name, label, color in (
        ("loss", "validation loss", "0.4"),
        ("directions", "consistency of directions", BLUE),
        ("words", "of words", ORANGE),
    ):
        curves.plot(x, [epoch[name] for epoch in one], color=color, label=label)
    curves.set(xlabel="epoch", ylim=(0, None))
    curves.set_title("a training on few sequences, seed 0", fontsize=10)
    curves.legend(frameon=False, fontsize=8)
    return figure


def draw_measure(ax: Axes, results: dict[str, Any], measure: str) -> None:
    for one in results["networks"]:
        label = one["model"] if not one["seed"] else None
        values = [one["measures"][str(n)][measure] for n in NUMBERS]
        ax.plot(NUMBERS, values, "o-", color=COLORS[one["model"]], markersize=3, lw=1, label=label)
    ax.set(xscale="log", xlabel="sequences", ylim=(0, None))
    ax.set_xticks(NUMBERS, [str(n) for n in NUMBERS])
    ax.minorticks_off()
    ax.set_title(f"consistency of {measure}", fontsize=10)
    ax.legend(frameon=False, fontsize=8)


def main() -> None:
    if "--page" not in sys.argv:
        warnings.filterwarnings("ignore", ".*does not have many workers.*|.*LeafSpec.*")
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        # The network is too small for several threads.
        torch.set_num_threads(1)
        machine, start = describe_machine(), time.process_time()
        found: dict[str, list[Any]] = {"networks": [], "trainings": [], "sanity": []}
        for seed in SEEDS:
            found["networks"] += compare_networks(seed)
            found["trainings"].append(choose_checkpoints(seed))
            found["sanity"] += check_sanity(seed)
            print(seed, found["networks"][-4:], found["trainings"][-1]["choices"], flush=True)
        workload = {"seeds": SEEDS, "sequences": N, "length": LENGTH, "few": FEW, "epochs": EPOCHS, "probes": PROBES}
        workload["cpu_seconds"] = time.process_time() - start
        write_results("study_consistency", {"workload": workload, **found}, machine)
    results = read_results("study_consistency")
    draw(results).savefig(PICTURES / "consistency.png", dpi=110)
    update_page("consistency", table(results))


if __name__ == "__main__":
    main()
