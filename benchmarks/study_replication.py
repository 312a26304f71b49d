"""Ask whether saliency with SmoothGrad finds more than DeepLIFT does, on networks of sequences.

Usage: ``python benchmarks/study_replication.py [processes]``; ``--page`` only draws what is stored.
Reynolds and Pan (2025) found so for networks of genotypes, by variants with known effects and by decoys. Here words
with known effects are planted in sequences, with as many decoys (spike_ins.py), and networks with and without max
pooling learn the quantity. Sites are ranked by each method, and decoys are counted (decoy_counting.py). The same is
done on made-up genotypes (replication_genotypes.py), to see where a difference comes from.
Writes results/study_replication.json, docs/studies/images/replication.png and the numbers in
docs/studies/replication.md.
"""

from __future__ import annotations

import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
import torch
from decoy_counting import find, recall
from harness import count_argument, describe_machine, read_results, write_results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from pages import BLUE, GREEN, ORANGE, PINK, update_page
from replication_genotypes import genotypes_table, study_genotypes
from replication_methods import CAPTUM, OURS, SMOOTH, knockout, make_methods
from replication_networks import pooled_network, residual_network
from spike_ins import DECOY, KINDS, MATTERS, ROW, START, UNIT, WIDTH, SpikeIns, Unit, draw_sequences, make_units
from suite_tables import IMAGES, to_markdown
from torch import Tensor, nn

from seqlight.studies.suites.small_networks import train_network

SEEDS, TRAINING_ROWS, TEST_ROWS, ROWS, EPOCHS = (0, 1, 2, 3, 4), 6000, 1000, 200, 10
RATE = 0.1

NETWORKS = {"max pooling": pooled_network, "residual": residual_network}
TITLES = {"max pooling": "Networks with max pooling", "residual": "Residual networks"}


def site_scores(track: Tensor, sites: NDArray[np.int64], *, signed: bool) -> NDArray[np.float64]:
    """Return the mean magnitude of the positions of each site, or the magnitude of their sum."""
    columns = sites[:, START, None] + np.arange(WIDTH)
    values = track.double().numpy()[sites[:, ROW, None], columns]
    return np.abs(values.sum(axis=1)) if signed else np.abs(values).mean(axis=1)


def evaluate(scores: NDArray[np.float64], sites: NDArray[np.int64], units: list[Unit]) -> dict[str, Any]:
    """Return what is found of the sites that matter, by kind and by effect too, at a rate of false discoveries."""
    is_decoy, matters = sites[:, DECOY] == 1, sites[:, MATTERS] == 1
    found = find(scores, is_decoy, matters, RATE)
    kinds = np.array([units[i].kind for i in sites[:, UNIT]])
    real = found.chosen & ~is_decoy
    effects = np.array([abs(units[i].effect) for i in sites[:, UNIT]])

    def power(among: NDArray[np.bool_]) -> float:
        return float(found.chosen[among & matters].mean())

    return {
        "recall": recall(scores, matters),
        "power": found.power,
        "false": found.false,
        "null words": float((real & (kinds == "null")).sum() / max(real.sum(), 1)),
        "power 5%": find(scores, is_decoy, matters, 0.05).power,
        "kinds": {kind: power(kinds == kind) for kind in KINDS if kind != "null"},
        "effects": {f"{effect:g}": power(effects == effect) for effect in sorted(set(effects[matters]))},
    }


def study(architecture: str, seed: int) -> dict[str, Any]:
    """Train a network and return what each method finds."""
    units = make_units(seed)
    train, test = (draw_sequences(units, n, 2 * seed + i) for i, n in enumerate((TRAINING_ROWS, TEST_ROWS)))
    center, scale = train.y.mean(), train.y.std()
    model = train_network(
        NETWORKS[architecture],
        train.X,
        (train.y - center) / scale,
        seed,
        epochs=EPOCHS,
        rate=4e-3,
        loss=nn.functional.mse_loss,
    )
    with torch.no_grad():
        rest = model(test.X.float())[:, 0] * scale + center - test.y
    explained = 1 - float(rest.square().mean() / test.y.var())
    shown = SpikeIns(test.X[:ROWS], test.y[:ROWS], test.sites[test.sites[:, ROW] < ROWS])
    scores = {"knockout": {"magnitude": knockout(model, shown, seed)}}
    seconds = {}
    for name, call in make_methods(model, shown.X, seed).items():
        start = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            track = call()
        seconds[name] = time.perf_counter() - start
        scores[name] = {kind: site_scores(track, shown.sites, signed=kind == "sum") for kind in ("magnitude", "sum")}
    found = {
        name: {kind: evaluate(one, shown.sites, units) for kind, one in kinds.items()} for name, kinds in scores.items()
    }
    is_decoy, matters = shown.sites[:, DECOY] == 1, shown.sites[:, MATTERS] == 1
    counts = [int((~is_decoy).sum()), int(is_decoy.sum()), int(matters.sum())]
    print(architecture, seed, f"R2 {explained:.2f}", {k: round(v["magnitude"]["power"], 2) for k, v in found.items()})
    return {
        "network": architecture,
        "seed": seed,
        "explained": explained,
        "sites": dict(zip(("real", "decoys", "matter"), counts, strict=True)),
        "seconds": seconds,
        "methods": found,
    }


def as_frame(results: dict[str, Any], kind: str = "magnitude") -> pd.DataFrame:
    """Return a row for each network and method; the score of a site is by `kind`, where a method has several."""
    rows = []
    for run in results["runs"]:
        for method, kinds in run["methods"].items():
            one = kinds.get(kind, kinds["magnitude"])
            flat = {key: value for key, value in one.items() if not isinstance(value, dict)}
            rows.append(
                {"network": run["network"], "seed": run["seed"], "method": method, **flat, **one["kinds"]}
                | {f"effect {name}": value for name, value in one["effects"].items()}
            )
    return pd.DataFrame(rows)


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    frame, sums = as_frame(results), as_frame(results, "sum")
    lines = []
    for network in NETWORKS:
        explained = [run["explained"] for run in results["runs"] if run["network"] == network]
        lines.append(
            f"{TITLES[network]}, which explain {min(explained):.0%} to {max(explained):.0%} of the variance of "
            "sequences that they have not seen; means and ranges of five:\n"
        )
        lines.append(to_markdown(by_method(frame[frame["network"] == network], sums[sums["network"] == network])))
    lines.append(f"Power at an estimated rate of {RATE:.0%} by kind and size of effect, means of all networks:\n")
    lines.append(to_markdown(by_kind(frame)))
    lines.append(f"Power of `{SMOOTH}` less that of others, on the same networks:\n")
    lines.append(to_markdown(differences(frame, sums)))
    lines.append(f"Made-up genotypes, power at an estimated rate of {RATE:.0%}, for all, rare and common variants:\n")
    lines.append(to_markdown(genotypes_table(results["genotypes"])))
    sites = [run["sites"] for run in results["runs"]]
    lines.append(
        f"Of {min(one['real'] for one in sites)} to {max(one['real'] for one in sites)} sites of words with effects or "
        f"without, {min(one['matter'] for one in sites)} to {max(one['matter'] for one in sites)} matter. "
        f"Captum {results['captum']}, PyTorch {results['machine']['torch']}.\n"
    )
    return "\n".join(lines)


def spread(values: pd.Series) -> str:
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"


def by_method(frame: pd.DataFrame, sums: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each method, in the order in which they ran."""
    rows = []
    for method, mine in frame.groupby("method", sort=False):
        theirs = sums[sums["method"] == method]
        rows.append(
            {
                "": method,
                "recall": spread(mine["recall"]),
                f"power at {RATE:.0%}": spread(mine["power"]),
                "false among them": spread(mine["false"]),
                "of these, null words": f"{mine['null words'].mean():.2f}",
                "power at 5%": spread(mine["power 5%"]),
                f"power at {RATE:.0%}, by sums": spread(theirs["power"]),
            }
        )
    return pd.DataFrame(rows)


def by_kind(frame: pd.DataFrame) -> pd.DataFrame:
    columns = [*(kind for kind in KINDS if kind != "null"), *(one for one in frame if one.startswith("effect "))]
    means = frame.groupby("method", sort=False)[columns].mean()
    return means.map("{:.2f}".format).rename_axis("").reset_index()


def differences(frame: pd.DataFrame, sums: pd.DataFrame) -> pd.DataFrame:
    """Return by how much the power of saliency with SmoothGrad is larger than that of another, by network."""
    wide = frame.pivot(index=["network", "seed"], columns="method", values="power")
    others = {name: wide[name] for name in (OURS, f"{OURS}, zeros", CAPTUM, f"{CAPTUM}, zeros", "saliency", "knockout")}
    summed = sums.pivot(index=["network", "seed"], columns="method", values="power")
    others |= {f"{name}, by sums": summed[name] for name in (OURS, f"{OURS}, zeros", CAPTUM, f"{CAPTUM}, zeros")}
    rows = []
    for other, power in others.items():
        gaps = wide[SMOOTH] - power
        one = {"less that of": other}
        one |= {network: ", ".join(f"{gap:+.2f}" for gap in gaps[network]) for network in NETWORKS}
        one["mean and deviation"] = f"{gaps.mean():+.2f} ± {gaps.std():.2f}"
        rows.append(one)
    return pd.DataFrame(rows)


def draw(results: dict[str, Any]) -> Figure:
    """Draw the power of each method, a dot for each network: in sequences, and in genotypes."""
    frame = as_frame(results)
    methods = list(dict.fromkeys(frame["method"]))
    figure = Figure(figsize=(15, 6), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 1))
    for ax, network in zip(axes, NETWORKS, strict=False):
        for place, method in enumerate(methods):
            mine = frame[(frame["network"] == network) & (frame["method"] == method)]
            ax.plot(mine["power"], [place] * len(mine), "o", color=color_of(method), ms=6, alpha=0.8)
            ax.plot(mine["false"], [place] * len(mine), "|", color="k", ms=8, alpha=0.6)
        ax.set_yticks(range(len(methods)), methods, fontsize=9)
        ax.invert_yaxis()
        ax.grid(axis="y", color="0.92")
        ax.set(xlim=(-0.03, 1.03), title=network, xlabel=f"power at {RATE:.0%} (dots); false (strokes)")
    axes[1].set_yticklabels([])
    draw_genotypes(axes[2], results["genotypes"])
    marks = [Line2D([], [], ls="", marker="o", color=color, label=name) for name, color in SHOWN.items()]
    marks.append(Line2D([], [], ls="", marker="|", ms=8, color="k", label="false among what is found"))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False, fontsize=9)
    return figure


# The colours of the picture, by how the name of a method begins.
COLORS = {
    "knockout": "k",
    "chance": "0.6",
    "saliency": PINK,
    CAPTUM: ORANGE,
    "DeepLIFT of Captum": ORANGE,
    "DeepLIFT": BLUE,
    "multipliers": BLUE,
}
# What is said of them.
SHOWN = {"saliency": PINK, CAPTUM: ORANGE, OURS: BLUE, "other methods with gradients": GREEN}
SHOWN |= {"knockout": "k", "chance": "0.6"}


def color_of(method: str) -> str:
    return next((color for begin, color in COLORS.items() if method.startswith(begin)), GREEN)


def draw_genotypes(ax: Axes, rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(rows)
    methods = list(dict.fromkeys(frame["method"]))
    for place, method in enumerate(methods):
        mine = frame[frame["method"] == method]
        for kind, mark, shift in (("rare", "v", 0.15), ("common", "o", -0.15)):
            label = f"{kind} variants" if not place else None
            ax.plot(mine[kind], [place + shift] * len(mine), mark, color=color_of(method), ms=5, alpha=0.7, label=label)
    ax.set_yticks(range(len(methods)), methods, fontsize=9)
    ax.invert_yaxis()
    ax.grid(axis="y", color="0.92")
    ax.set(xlim=(-0.03, 1.03), title="made-up genotypes", xlabel=f"power at {RATE:.0%}")
    ax.legend(frameon=False, fontsize=9, loc="upper left")


def study_all(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what is found in the sequences, and in the genotypes, of a seed."""
    warnings.filterwarnings("ignore", ".*already require gradients.*|.*forward, backward.*|.*requires_grad.*")
    # The networks are too small for several threads.
    torch.set_num_threads(1)
    genotypes = [row for equal in ("variance", "effect") for row in study_genotypes(equal, seed)]
    return [study(architecture, seed) for architecture in NETWORKS], genotypes


def run(processes: int) -> dict[str, Any]:
    start = time.perf_counter()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        found = list(pool.map(study_all, SEEDS))
    runs = [runs[i] for i in range(len(NETWORKS)) for runs, _ in found]
    genotypes = [row for _, rows in found for row in rows]
    return {"captum": version("captum"), "seconds": time.perf_counter() - start, "runs": runs, "genotypes": genotypes}


def main() -> None:
    if "--page" not in sys.argv:
        machine = describe_machine()
        write_results("study_replication", run(count_argument(2)), machine)
    results = read_results("study_replication")
    draw(results).savefig(IMAGES / "replication.png", dpi=110)
    update_page("studies/replication", table(results))


if __name__ == "__main__":
    main()
