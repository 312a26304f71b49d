"""Ask how many planted motifs the seqlet callers find, and how many of their seqlets are planted, by threshold.

Usage: ``python benchmarks/study_planted_motifs.py [seed]``. There are two tracks with known sites:

- "network": DeepLIFT/SHAP of the network of the demo, trained to tell sequences with an AP-1 and a CTCF site
  from sequences with only one of them, on the positives of its validation and test splits;
- "exact": the contributions that a perfect model would give the sites, in Laplace noise a third as large.

A site is found, and a seqlet is right, if the two share at least 4 positions; a seqlet is false if it shares
none with any site. TF-MoDISco's seqlets are taken without their flanks, and its threshold is set by the fraction
of all windows that pass, as it nearly always is in practice.
Writes results/study_planted_motifs.json and docs/pictures/planted_motifs.png.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from harness import count_argument, describe_machine, write_results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pages import BLUE, GREEN, ORANGE, PICTURES, PINK

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.datasets.labelled import LabelledSplit
from seqlight.datasets.planted import IUPAC, MOTIFS, load_planted
from seqlight.metrics.overlap import overlap
from seqlight.seqlets.modisco.caller import tfmodisco_seqlets
from seqlight.seqlets.recursive.caller import recursive_seqlets
from seqlight.seqlets.recursive.control import shuffled_control
from seqlight_callbacks.demo.task import planted_task
from seqlight_callbacks.demo.training import train

THRESHOLDS = [float(10**-e) for e in np.arange(0.5, 6.5, 0.5)]
RATES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5]
PASSING = [0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3]
NOISE = 0.35
SHARED, WINDOW, FLANK = 4, 21, 10
SHUFFLES = 5


RECURSIVE, CALIBRATED, MODISCO = "recursive, by threshold", "recursive, by target_fdr", "tfmodisco, by part passing"


class Track(NamedTuple):
    """Attributions, attributions of sequences without sites, and the positions of the sites."""

    values: NDArray[Any]
    control: NDArray[Any]
    known: pd.DataFrame


def network_track(seed: int) -> Track:
    task = planted_task(seed)
    with tempfile.TemporaryDirectory() as folder:
        train(task, Path(folder), task.epochs, seed)
    parts = [positives_and_sites(split) for split in (task.data.valid, task.data.test)]
    X = torch.cat([X for X, _ in parts])
    known = pd.concat([known.assign(example_idx=known["example_idx"] + i * 300) for i, (_, known) in enumerate(parts)])
    assert len(parts[0][0]) == 300
    attributions = deep_lift_shap(task.model, X, random_state=seed)
    assert isinstance(attributions, torch.Tensor)
    control = shuffled_control(task.model, X, n=SHUFFLES, random_state=seed + 1000)
    return Track(attributions.sum(dim=1).numpy(), control.numpy(), known.reset_index(drop=True))


def positives_and_sites(split: LabelledSplit) -> tuple[torch.Tensor, pd.DataFrame]:
    n, motifs = len(split.X) // 2, split.motifs
    return split.X[:n], pd.DataFrame({"example_idx": motifs.example_idx, "start": motifs.start, "end": motifs.end})


def exact_track(seed: int) -> Track:
    split, rng = load_planted(length=200, seed=seed).valid, np.random.RandomState(seed)
    X, known = positives_and_sites(split)
    values = rng.laplace(scale=NOISE, size=(len(X), X.shape[2]))
    for row, start, _, motif in zip(*split.motifs, strict=True):
        for i, code in enumerate(list(MOTIFS.values())[motif]):
            values[row, start + i] += 1 / len(IUPAC[code])
    return Track(values, rng.laplace(scale=NOISE, size=(SHUFFLES * len(X), X.shape[2])), known)


def evaluate(seqlets: pd.DataFrame, known: pd.DataFrame) -> dict[str, float | None]:
    found = overlap(seqlets, known, SHARED)
    false = 1 - overlap(seqlets, known, 1).precision
    numbers = {"seqlets": float(len(seqlets)), **found._asdict(), "false": false}
    return {name: None if np.isnan(number) else number for name, number in numbers.items()}


def recursive_rows(track: Track) -> Iterator[dict[str, Any]]:
    for threshold in THRESHOLDS:
        seqlets = recursive_seqlets(track.values, threshold, sign="positive")
        yield {"threshold": threshold, **evaluate(seqlets, track.known)}


def calibrated_rows(track: Track) -> Iterator[dict[str, Any]]:
    for rate in RATES:
        seqlets = recursive_seqlets(track.values, X_control=track.control, target_fdr=rate, sign="positive")
        yield {"target_fdr": rate, **evaluate(seqlets, track.known)}


def modisco_rows(track: Track) -> Iterator[dict[str, Any]]:
    for part in PASSING:
        seqlets = tfmodisco_seqlets(track.values, WINDOW, FLANK, min_passing_frac=part, max_passing_frac=part)
        seqlets = seqlets[seqlets["attribution"] > 0]
        cores = seqlets.assign(start=seqlets["start"] + FLANK, end=seqlets["end"] - FLANK)
        yield {"passing": part, **evaluate(cores, track.known)}


def study(track: Track) -> dict[str, list[dict[str, Any]]]:
    return {
        RECURSIVE: list(recursive_rows(track)),
        CALIBRATED: list(calibrated_rows(track)),
        MODISCO: list(modisco_rows(track)),
    }


def draw(results: dict[str, dict[str, list[dict[str, Any]]]]) -> Figure:
    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplots(len(results), 4, squeeze=False)
    for row, (name, rows) in zip(axes, results.items(), strict=True):
        tables = {kind: pd.DataFrame(table).astype(float) for kind, table in rows.items()}
        draw_by_threshold(row[0], tables[RECURSIVE], "threshold", (0.01, 0.01))
        row[0].invert_xaxis()
        draw_by_threshold(row[1], tables[MODISCO], "passing", (0.03, 0.2))
        row[1].set_xlabel("part of all windows that passes")
        draw_by_rate(row[2], tables[CALIBRATED])
        draw_precision_recall(row[3], tables)
        row[0].set_ylabel(f"{name}\n\nshare")
    titles = ("recursive_seqlets", "tfmodisco_seqlets", "recursive_seqlets with X_control", "both")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    return figure


def draw_by_threshold(ax: Axes, table: pd.DataFrame, column: str, default: tuple[float, float]) -> None:
    ax.plot(table[column], table["recall"], "o-", ms=3, color=BLUE, label="recall")
    ax.plot(table[column], table["precision"], "s-", ms=3, color=ORANGE, label="precision")
    ax.plot(table[column], table["iou"], "^-", ms=3, color=GREEN, label="IoU")
    ax.axvspan(*default, facecolor="0.93", edgecolor="0.8", zorder=0)
    middle = float(np.sqrt(default[0] * default[1]))
    ax.annotate("default", (middle, 1.05), color="0.4", ha="center", bbox={"fc": "w", "ec": "none", "pad": 1})
    ax.set(xscale="log", xlabel=column, ylim=(-0.02, 1.14))
    ax.legend(frameon=False)


def draw_by_rate(ax: Axes, table: pd.DataFrame) -> None:
    ax.plot([0, 0.5], [0, 0.5], color="0.7", lw=1, zorder=0, label="false share, as asked for")
    ax.plot(table["target_fdr"], table["false"], "D-", ms=4, color=PINK, label="false share")
    ax.plot(table["target_fdr"], table["recall"], "o-", ms=3, color=BLUE, label="recall")
    ax.set(xlabel="target_fdr", ylim=(-0.02, 1.14))
    ax.legend(frameon=False, fontsize=9, handlelength=1.2, loc="center right", bbox_to_anchor=(1, 0.6))


def draw_precision_recall(ax: Axes, tables: dict[str, pd.DataFrame]) -> None:
    for kind, color, mark in ((RECURSIVE, BLUE, "o-"), (MODISCO, ORANGE, "s-")):
        ax.plot(tables[kind]["recall"], tables[kind]["precision"], mark, ms=3, color=color, label=kind)
    ax.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.05), ylim=(-0.02, 1.14))
    ax.legend(frameon=False, loc="lower left")


def main(seed: int) -> None:
    machine = describe_machine()
    results = {"network": study(network_track(seed)), "exact": study(exact_track(seed))}
    for name, rows in results.items():
        for kind, table in rows.items():
            print(f"{name}: {kind}", pd.DataFrame(table).round(3).to_string(index=False), sep="\n", flush=True)
    workload = {"seed": seed, "positions_to_share": SHARED, "shuffles_in_the_control": SHUFFLES}
    print(write_results("study_planted_motifs", {"workload": workload, "tracks": results}, machine))
    draw(results).savefig(PICTURES / "planted_motifs.png", dpi=110)


if __name__ == "__main__":
    main(count_argument(0))
