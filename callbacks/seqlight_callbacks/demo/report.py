"""The report of a demo run: that of any training, and what is known of this task."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from seqlight.report import figures
from seqlight.report.blocks import Code, Numbers, Picture, Section, Table, Text
from seqlight_callbacks.demo.training import LEARNING_RATE, Run
from seqlight_callbacks.report_sections import (
    attribution_section,
    logo_section,
    package_versions,
    scalar_section,
    seqlet_section,
)


def write_report(run: Run, path: Path) -> Path:
    """Write the report of a run as one HTML page, and return where it is."""
    data = run.report.report_data()
    names = [name for name in data.history.scalar_names() if not name.startswith("test_")]
    sections = [
        _summary_section(run),
        _training_section(run),
        attribution_section(data),
        logo_section(data),
        seqlet_section(data),
        scalar_section(data, names),
        Section("Made with", [Code(f"seed {run.seed}\n{package_versions()}"), Code(run.task.data.provenance)]),
    ]
    return run.report.write(path, sections)


def _summary_section(run: Run) -> Section:
    attribution = run.attribution
    text = (
        "The model was trained on sequences alone. At the end of each epoch its output was attributed to the single "
        f"bases of {len(attribution.sequences)} positive validation sequences, the probes, by DeepLIFT/SHAP, "
        f"against {attribution.references.shape[1]} dinucleotide shuffles each, and seqlets were called in the "
        "attributions."
    )
    return Section("In short", [Numbers(run.numbers()), Text(text)])


def _training_section(run: Run) -> Section:
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
