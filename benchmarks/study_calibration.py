"""Ask whether `target_fdr` is the false discovery rate of seqlets, against sites at known positions.

Usage: ``python benchmarks/study_calibration.py [replicates]``. The tracks are noise of four kinds with a site in
every second row, and attributions of networks trained to find two motifs, on new sequences with both sites and
against dinucleotide shuffles. Each is repeated without any site, where every call is false.
A call is false if it shares no position with a site; the rate is the share of calls that are false, 0 if there are
no calls, averaged over replicates.
Writes results/study_calibration.json and docs/pictures/calibration.png.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from harness import count_argument, describe_machine, write_results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import BLUE, ORANGE, PICTURES
from torch import nn

from seqlight.datasets.planted import load_planted
from seqlight.errors import SeqlightWarning
from seqlight.metrics.overlap import overlap
from seqlight.seqlets.recursive.calibration import calibrated_seqlets
from seqlight.seqlets.recursive.caller import recursive_seqlets
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.suites.tracks import NO_SEQLETS, NOISES, Track, plant_sites
from seqlight_callbacks.demo.task import planted_task
from seqlight_callbacks.demo.training import train

RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
CONTROLS = (1, 5)
ROWS, LENGTH = 200, 300
SEQUENCES, SETS, NETWORKS = 200, 4, 3


def averaging_network() -> nn.Sequential:
    """Return a network that averages over positions, so that background contributes everywhere."""
    return nn.Sequential(
        nn.Conv1d(4, 48, 13, padding=6),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(48, 48, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(48, 32),
        nn.ReLU(),
        nn.Linear(32, 1),
    )


def train_networks(seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield two trained networks: one that takes the maximum of each filter over positions, and one that averages."""
    task = planted_task(seed)
    torch.manual_seed(seed)
    other = replace(task, model=averaging_network(), epochs=12)
    for name, one in (("network, one maximum a filter", task), ("network, mean over places", other)):
        with tempfile.TemporaryDirectory() as folder:
            run = train(one, Path(folder), one.epochs, seed)
        print(f"{name}, seed {seed}: AUROC {run.test['test_auroc']:.4f}", flush=True)
        yield name, one.model


def attribute_sequences(model: nn.Module, seed: int, with_sites: bool) -> Track:
    """Attribute new sequences with both sites, or shuffles of them, and shuffles of these as controls."""
    split = load_planted(4 * SEQUENCES, length=200, seed=1000 + seed).train
    X, motifs = split.X[:SEQUENCES], split.motifs
    known = pd.DataFrame({"example_idx": motifs.example_idx, "start": motifs.start, "end": motifs.end})
    known = known[known["example_idx"] < SEQUENCES]
    if not with_sites:
        X, known = dinucleotide_shuffle(X, end=None, random_state=5_000_000 + 1000 * seed)[:, 0], known[:0]
    found = calibrated_seqlets(
        model, X, n_control=max(CONTROLS), random_state=1000 * seed, n_shuffles=10, batch_size=2000, target_fdr=1e9
    )
    # Ordered by shuffle: the first rows are a control with one shuffle of each sequence.
    control = found.control.reshape(len(X), -1, X.shape[2]).transpose(0, 1).flatten(0, 1)
    return Track(found.attributions.sum(dim=1).double().numpy(), control.double().numpy(), known)


def evaluate(draw: Track) -> Iterator[dict[str, Any]]:
    for n in CONTROLS:
        control = draw.control[: n * len(draw.values)]
        # One curve serves all rates: the calls at a rate are those at the laxest threshold that keeps to it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeqlightWarning)
            options = {"X_control": control, "target_fdr": 1e-9, "sign": "positive"}
            curve = recursive_seqlets(draw.values, **options, return_fdr=True).fdr
        called: dict[float, pd.DataFrame] = {}
        for rate in RATES:
            threshold = float(curve["threshold"][curve["fdr"] <= rate].max())
            if threshold > 0 and threshold not in called:
                called[threshold] = recursive_seqlets(draw.values, threshold, sign="positive")
            seqlets = called.get(threshold, NO_SEQLETS)
            matched = overlap(seqlets, draw.known)
            yield {
                "controls": n,
                "target_fdr": rate,
                "calls": len(seqlets),
                "false": 1 - matched.precision if len(seqlets) else 0.0,
                "recall": matched.recall,
            }


def summarize(draws: list[Track]) -> list[dict[str, float]]:
    """Return the mean of each number over replicates, and the standard error of the rate."""
    table = pd.DataFrame([row for draw in draws for row in evaluate(draw)])
    groups = table.groupby(["controls", "target_fdr"])
    means = groups.mean()
    means["standard_error"] = groups["false"].std() / np.sqrt(len(draws))
    rows = means.reset_index().round(5).astype(object)
    return rows.where(rows.notna(), None).to_dict("records")


def draw_figure(results: dict[str, Any]) -> Figure:
    names = list(results["with_sites"])
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    for ax, name in zip(figure.subplots(2, 3).flat, names, strict=True):
        draw_panel(ax, results, name)
    figure.supxlabel("target_fdr, which is asked for")
    figure.supylabel("false discovery rate, which comes out")
    return figure


def draw_panel(ax: Axes, results: dict[str, Any], name: str) -> None:
    ax.plot([0, 0.55], [0, 0.55], color="0.75", lw=1, zorder=0)
    for n, color in zip(CONTROLS, (BLUE, ORANGE), strict=True):
        for kind, line, label in (
            ("with_sites", "o-", "sites planted"),
            ("without_sites", "s:", "nothing planted"),
        ):
            rows = pd.DataFrame(results[kind][name]).astype(float)
            rows = rows[rows["controls"] == n]
            shown = f"{label}, {n} shuffle{'s' * (n > 1)} each"
            ax.errorbar(
                rows["target_fdr"], rows["false"], 2 * rows["standard_error"], fmt=line, ms=4, lw=1.4, color=color,
                label=shown, mfc="w" if kind == "without_sites" else color,
            )  # fmt: skip
    ax.set_title(name, loc="left", fontsize=10)
    ax.set(xlim=(0, 0.53), ylim=(-0.02, 0.62))
    ax.spines[["top", "right"]].set_visible(False)
    if name == next(iter(results["with_sites"])):
        ax.legend(frameon=False, fontsize=8, loc="upper left")


def main(replicates: int) -> None:
    machine = describe_machine()
    found: dict[str, dict[str, Any]] = {"with_sites": {}, "without_sites": {}}
    for name, kind_of_noise in NOISES.items():
        for kind, n_sites in (("with_sites", ROWS // 2), ("without_sites", 0)):
            found[kind][name] = summarize(
                [plant_sites(kind_of_noise, seed, n_sites, (ROWS, LENGTH), max(CONTROLS)) for seed in range(replicates)]
            )
            print(name, kind, pd.DataFrame(found[kind][name]).to_string(index=False), sep="\n", flush=True)
    draws: dict[str, dict[str, list[Track]]] = {"with_sites": {}, "without_sites": {}}
    for network in range(NETWORKS):
        for name, model in train_networks(network):
            for kind, of_kind in draws.items():
                sets = [attribute_sequences(model, network * SETS + i, kind == "with_sites") for i in range(SETS)]
                of_kind.setdefault(name, []).extend(sets)
    for kind, of_kind in draws.items():
        for name, some in of_kind.items():
            found[kind][name] = summarize(some)
            print(name, kind, pd.DataFrame(found[kind][name]).to_string(index=False), sep="\n", flush=True)
    workload = {
        "noise": {"replicates": replicates, "rows": ROWS, "positions": LENGTH, "sites": ROWS // 2},
        "networks": {
            "networks": NETWORKS,
            "sets_of_sequences_each": SETS,
            "sequences": SEQUENCES,
            "positions": 200,
            "references": 10,
        },
        "sign": "positive",
    }
    print(write_results("study_calibration", {"workload": workload, **found}, machine))
    draw_figure(found).savefig(PICTURES / "calibration.png", dpi=110)


if __name__ == "__main__":
    main(count_argument(100))
