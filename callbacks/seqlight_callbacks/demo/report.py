"""The report of a demo run."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from seqlight.metrics.attribution import interval_share, window_share
from seqlight.metrics.overlap import overlapping
from seqlight.report import figures
from seqlight.report.page import Code, Film, Numbers, Picture, Section, Table, Text, write_page
from seqlight.sequence.onehot import characters
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
        f"bases of {len(run.attribution.sequences)} positive validation sequences, the probes, by DeepLIFT/SHAP, "
        f"against {run.attribution.references.shape[1]} dinucleotide shuffles each, and seqlets were called in the "
        "attributions."
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
    if float(data.train.y.mean()) != float(data.valid.y.mean()):
        text += " Training has another share of positives than validation and test, so their losses are not comparable."
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
    return Section(
        "How the attribution moved",
        [
            _places(run),
            Film(_frames(run), "The same sequences in each epoch, on one scale. Move the slider." + _shading(run)),
            Picture(_steadiness(run), "How steady the attributions are, and the seqlets in them, by epoch."),
        ],
    )


def _places(run: Run) -> Picture:
    """Return where the attribution was: by position if the motif has one, and else by what was planted."""
    frames = [torch.from_numpy(frame) for frame in run.frames().values()]
    if run.task.window is None:
        known = run.task.known(len(frames[0]))
        lines = {str(motif): [interval_share(one, rows) for one in frames] for motif, rows in known.groupby("motif")}
        lines["elsewhere"] = [1 - sum(shares) for shares in zip(*lines.values(), strict=True)]
        curves = figures.learning_curves({"share of positive attribution": lines}, first=0)
        return Picture(
            curves, f"How much of the positive attribution lies in the {run.task.motif}; 0 is before training."
        )
    positive = torch.stack([frame.sum(dim=1).clamp_min(0).mean(dim=0) for frame in frames]).double().numpy()
    profiles = positive / np.maximum(positive.sum(axis=1, keepdims=True), 1e-30)
    shares = [window_share(frame, *run.task.window) for frame in frames]
    heat = figures.attribution_by_epoch(profiles, shares, run.task.window, run.task.zero)
    return Picture(
        heat,
        "Where positive attribution lies, mean over the probe sequences; a row an epoch, the first before training. "
        f"Between the lines is the {run.task.motif}, and on the right what share of it all lies there.",
    )


def _steadiness(run: Run) -> Figure:
    columns = {
        "cosine to the epoch before": "attribution/similarity",
        "seqlets": "seqlets/count",
        "precision of strong seqlets": "seqlets/precision",
    }
    return figures.learning_curves({label: {"": run.metrics[name].tolist()} for label, name in columns.items()})


def _frames(run: Run) -> dict[str, Figure]:
    shown = _shown(run)[:2]
    frames = {epoch: torch.from_numpy(frame[shown]) for epoch, frame in run.frames().items()}
    limits = figures.logo_limits(torch.stack(list(frames.values())))
    titles, shaded = [f"probe {i}" for i in shown], _shaded(run, shown)
    return {
        f"after epoch {epoch}" if epoch else "before training": figures.logos(
            frame, titles, shaded=shaded, zero=run.task.zero, limits=limits
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
        _shaded(run, shown),
        run.task.zero,
    )
    caption = (
        f"The {len(shown)} probe sequences with the highest output after the last epoch. A letter is as tall as what "
        "its base adds to the output; bars are seqlets, with the sum of their attribution." + _shading(run)
    )
    return Section("What it looks at", [Picture(picture, caption)])


def _seqlets(run: Run) -> Section:
    strong, zero = run.seqlets.strong_positive(), run.task.zero
    length = run.attribution.sequences.shape[2]
    known = run.seqlets.known if run.task.window is None else None
    places = figures.seqlet_places(strong, length, run.task.window, zero, known)
    caption = f"How many of the {len(strong)} strong positive seqlets (p < {run.seqlets.strong:g}) cover each position."
    caption += _shading(run) if known is None else f" The outline is where the {run.task.motif} are."
    origin = "from the start codon" if zero else "from the beginning of the sequence"
    return Section(
        "Seqlets",
        [
            Picture(places, caption),
            Table(_strongest(run), f"The strongest of them. Positions count {origin}, and the end is not part of it."),
        ],
    )


def _strongest(run: Run, n: int = 20) -> pd.DataFrame:
    """Return the strongest seqlets for a reader: which bases they are, and what they hit."""
    strong = run.seqlets.strong_positive().head(n)
    assert run.seqlets.known is not None
    spans = strong[["example_idx", "start", "end"]].itertuples(index=False)
    return pd.DataFrame(
        {
            "probe": strong["example_idx"],
            "start": strong["start"] - run.task.zero,
            "end": strong["end"] - run.task.zero,
            "bases": [characters(run.attribution.sequences[i, :, start:end]) for i, start, end in spans],
            "attribution": strong["attribution"],
            "p-value": strong["p-value"],
            f"overlaps {run.task.motif}": ["yes" if hit else "no" for hit in overlapping(strong, run.seqlets.known)],
        }
    )


def _numbers(run: Run) -> Section:
    metrics = run.metrics.reset_index()
    metrics["epoch"] += 1
    metrics = metrics.drop(columns=[name for name in metrics if str(name).startswith("test_")])
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


def _shaded(run: Run, shown: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Return the intervals of each shown probe where the motif is."""
    assert run.seqlets.known is not None
    sites = run.seqlets.known
    return [list(sites.loc[sites["example_idx"] == i, ["start", "end"]].itertuples(index=False)) for i in shown]


def _shading(run: Run) -> str:
    return f" Shaded: the {run.task.motif}."
