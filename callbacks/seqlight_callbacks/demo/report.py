"""The report of a demo run."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from seqlight.metrics.attribution import window_share
from seqlight.report import figures
from seqlight.report.page import Code, Film, Numbers, Picture, Section, Table, Text, write_page
from seqlight_callbacks.demo.training import LEARNING_RATE, Run

SHOWN = 4
PACKAGES = ("seqlight", "torch", "lightning", "torchmetrics", "numpy", "pandas", "matplotlib")


def write_report(run: Run, path: Path) -> Path:
    """Write the report of a run as one HTML page, and return where it is."""
    sections = [_summary(run), _trained(run), _movement(run), _logos(run), _seqlets(run), _numbers(run)]
    return write_page(path, run.task.title, run.task.answer, sections)


def _summary(run: Run) -> Section:
    text = (
        "The model was trained on sequences alone. At the end of each epoch its output was attributed to the single "
        f"bases of {len(run.attribution.sequences)} validation sequences by DeepLIFT/SHAP, "
        f"against {run.attribution.references.shape[1]} dinucleotide shuffles each, and seqlets were called in the attributions."
    )
    return Section("In short", [Numbers(run.numbers()), Text(text)])


def _trained(run: Run) -> Section:
    metrics, data = run.metrics, run.task.data
    curves = figures.learning_curves(
        {
            "loss": {"training": metrics["train_loss"].tolist(), "validation": metrics["valid_loss"].tolist()},
            "AUROC": {"validation": metrics["valid_auroc"].tolist()},
        }
    )
    sizes = pd.DataFrame(
        [
            {"split": name, "positives": int(split.y.sum()), "negatives": int((split.y == 0).sum())}
            for name, split in (("training", data.train), ("validation", data.valid), ("test", data.test))
        ]
    )
    parameters = sum(parameter.numel() for parameter in run.task.model.parameters())
    text = (
        f"A plain PyTorch model of {parameters:,} parameters, trained for {len(metrics)} epochs by AdamW, with "
        f"a learning rate that rises to {LEARNING_RATE:g} and falls again. The splits "
        "are disjoint blocks of the data, each negative where its positive is."
    )
    return Section(
        "What was trained",
        [
            Text(text),
            Picture(curves, "The loss on training and validation data, and the area under the ROC curve."),
            Table(sizes, "Sequences in each split."),
            Code(str(run.task.model)),
        ],
    )


def _movement(run: Run) -> Section:
    positive = np.stack([frame.sum(axis=1).clip(min=0).mean(axis=0) for frame in run.frames().values()])
    profiles = positive / np.maximum(positive.sum(axis=1, keepdims=True), 1e-30)
    shares = None
    if run.task.window is not None:
        shares = [window_share(torch.from_numpy(frame), *run.task.window) for frame in run.frames().values()]
    heat = figures.attribution_by_epoch(profiles, shares, run.task.window, run.task.zero)
    caption = (
        "Where positive attribution lies, mean over the probe sequences; a row an epoch, the first before training."
    )
    if run.task.window is not None:
        caption += f" Between the lines is the {run.task.motif}, and on the right what share of it all lies there."
    steady = figures.learning_curves(
        {
            "cosine to what was before": {"": run.metrics["attribution/similarity"].tolist()},
            "seqlets": {"": run.metrics["seqlets/count"].tolist()},
            "precision of strong seqlets": {"": run.metrics["seqlets/precision"].tolist()},
        }
    )
    return Section(
        "How the attribution moved",
        [
            Picture(heat, caption),
            Film(_frames(run), "The same sequences in each epoch, on one scale. Move the slider."),
            Picture(steady, "How steady the attributions are, and the seqlets in them, by epoch."),
        ],
    )


def _frames(run: Run) -> dict[str, figures.Figure]:
    shown = _shown(run)[:2]
    frames = {epoch: torch.from_numpy(frame[shown]) for epoch, frame in run.frames().items()}
    limits = figures.logo_limits(torch.stack(list(frames.values())))
    titles = [f"probe {i}" for i in shown]
    return {
        f"after epoch {epoch}" if epoch else "before training": figures.logos(
            frame, titles, window=run.task.window, zero=run.task.zero, limits=limits
        )
        for epoch, frame in frames.items()
    }


def _logos(run: Run) -> Section:
    record, shown = run.attribution.record, _shown(run)
    assert record is not None
    picture = figures.logos(
        record.attributions[shown],
        [f"probe {i}, output {float(record.outputs[i]):+.2f} (logit)" for i in shown],
        run.seqlets.seqlets,
        shown,
        run.task.window,
        run.task.zero,
    )
    caption = (
        f"The {len(shown)} probe sequences with the highest output after the last epoch. A letter is as tall as what "
        "its base adds to the output; bars are seqlets, with the sum of their attribution."
    )
    if run.task.window is not None:
        caption += f" Shaded is the {run.task.motif}."
    return Section("What it looks at", [Picture(picture, caption)])


def _seqlets(run: Run) -> Section:
    strong = run.seqlets.strong_positive()
    length = run.attribution.sequences.shape[2]
    places = figures.seqlet_places(strong, length, run.task.window, run.task.zero)
    return Section(
        "Seqlets",
        [
            Picture(places, f"How many of the {len(strong)} strong positive seqlets (p < {run.seqlets.strong:g}) cover "
                            "each position."),
            Table(strong.head(20), "The strongest of them. example_idx is the probe; start and end count from the "
                                   "beginning of the sequence."),
        ],
    )  # fmt: skip


def _numbers(run: Run) -> Section:
    metrics = run.metrics.reset_index()
    metrics["epoch"] += 1
    metrics = metrics.drop(columns=[name for name in metrics if name.startswith("test_")])
    metrics.columns = [name.replace("attribution/", "attr. ").replace("_", " ") for name in metrics.columns]
    versions = "\n".join(
        [f"seed {run.seed}", f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
    )
    return Section(
        "All numbers",
        [
            Table(metrics, "What was logged at the end of each epoch."),
            Code(versions),
            Code(run.task.data.provenance),
        ],
    )


def _shown(run: Run) -> list[int]:
    """Return the probes with the highest output, best first."""
    record = run.attribution.record
    assert record is not None
    best: list[int] = record.outputs.argsort(descending=True, stable=True)[:SHOWN].tolist()
    return best
