"""Ask how far attribution methods agree with each other, with the model and with planted motifs.

Usage: ``python benchmarks/study_methods.py``; ``--page`` only writes the page from the stored results.
Small networks, one for each seed, learn to tell sequences with two motifs at known positions from their shuffled
versions; max pooling follows the first ReLU, as in many models of this field. Their test positives are attributed by
six methods and at random; the methods that need references share them. The metrics are those of ``seqlight.metrics``.
Writes results/study_methods.json, docs/pictures/methods.png and the numbers in docs/methods.md.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pandas as pd
import torch
from harness import describe_machine, read_results, write_results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import PICTURES, update_page
from torch import Tensor, nn

import seqlight as sl
from seqlight import metrics
from seqlight.datasets.labelled import LabelledSplit
from seqlight.datasets.planted import MOTIFS, load_planted
from seqlight.metrics.perturbation import SHARES

SEEDS, ROWS, REFERENCES, SHUFFLES = (0, 1, 2), 60, 10, 5
LENGTH, EPOCHS, BATCH = 100, 8, 64
TOP = sum(map(len, MOTIFS.values()))
COLORS = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "0.6")


def make_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 32, 13, padding=6),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(32, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(LENGTH // 4),
        nn.Flatten(),
        nn.Linear(32, 1),
    )


def train_network(split: LabelledSplit, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model, order = make_network(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(split.X), generator=order).split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(split.X[rows].float())[:, 0], split.y[rows])
            loss.backward()
            optimizer.step()
    return model.eval()


def captum_deeplift(model: nn.Module, X: Tensor, references: Tensor) -> Tensor:
    """Return Captum's contributions of the characters of the sequences, averaged over references."""
    from captum.attr import DeepLift

    explainer, found = DeepLift(model), []
    for x, r in zip(X.float(), references.float(), strict=True):
        whole = explainer.attribute(x[None].expand_as(r).clone(), r, target=0).mean(0).detach()
        # The contributions of all letters belong to the position, so the character gets their sum.
        found.append(whole.sum(dim=0, keepdim=True) * x)
    return torch.stack(found)


def make_methods(model: nn.Module, X: Tensor, references: Tensor, seed: int) -> dict[str, Callable[[], Tensor]]:
    from tangermeme.deep_lift_shap import deep_lift_shap as tangermeme

    common: dict[str, Any] = {"references": references, "device": "cpu"}
    theirs = {**common, "references": references.float(), "warning_threshold": 1e9}
    return {
        "deep_lift_shap": lambda: sl.attribute(model, X, **common).attributions,
        "tangermeme DeepLIFT": lambda: tangermeme(model, X.float(), **theirs) * X,
        "Captum DeepLift": lambda: captum_deeplift(model, X, references),
        "integrated_gradients": lambda: sl.integrated_gradients(model, X, **common).attributions,
        "saturation_mutagenesis": lambda: sl.saturation_mutagenesis(model, X, device="cpu"),
        "input_x_gradient": lambda: sl.input_x_gradient(model, X, device="cpu").attributions,
        "at random": lambda: torch.randn(X.shape, generator=torch.Generator().manual_seed(seed)) * X,
    }


def study(seed: int) -> dict[str, Any]:
    data = load_planted(length=LENGTH, seed=seed)
    model = train_network(data.train, seed)
    logits = sl.predict(model, data.test.X, device="cpu")[:, 0]
    X, motifs = data.test.X[:ROWS], data.test.motifs
    known = pd.DataFrame({"example_idx": motifs.example_idx, "start": motifs.start, "end": motifs.end})
    known = known[known["example_idx"] < ROWS]
    references = sl.dinucleotide_shuffle(X, n=REFERENCES, random_state=seed)
    found, seconds = {}, {}
    for name, call in make_methods(model, X, references, seed).items():
        start = time.perf_counter()
        found[name] = call()
        seconds[name] = time.perf_counter() - start
    agreement = {
        kind: [
            [float(metrics.method_agreement(a, b, kind, k=TOP)) for b in found.values()]  # type: ignore[arg-type]
            for a in found.values()
        ]
        for kind in ("rank_correlation", "top")
    }
    outputs = sl.predict(model, X, device="cpu")[:, 0]
    baselines = sl.predict(model, references.flatten(0, 1), device="cpu")[:, 0].reshape(ROWS, REFERENCES)
    evaluations = {}
    for name, one in found.items():
        evaluations[name] = {
            "deletion": float(metrics.faithfulness_area(model, X, one, "deletion", n_shuffles=SHUFFLES)),
            "insertion": float(metrics.faithfulness_area(model, X, one, "insertion", n_shuffles=SHUFFLES)),
            "in motifs": float(metrics.motif_interval_share(one, known)),
            "miss": float(metrics.convergence_delta(one, outputs, baselines, "relative")),
            "effective positions": float(metrics.effective_positions(one)),
            "curve": metrics.faithfulness_curve(model, X, one, n_shuffles=SHUFFLES).tolist(),
            "seconds": seconds[name],
        }
    accuracy = float(((logits > 0) == (data.test.y == 1)).float().mean())
    print(seed, f"accuracy {accuracy:.3f}", pd.DataFrame(evaluations).drop("curve").T.to_string(), sep="\n", flush=True)
    return {"seed": seed, "accuracy": accuracy, "agreement": agreement, "judged": evaluations}


def mean_over_runs(runs: list[dict[str, Any]], name: str, what: str) -> float:
    return statistics.mean(run["judged"][name][what] for run in runs)


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    runs, work = results["runs"], results["workload"]
    heads = ["deletion", "insertion", "attribution in motifs", "effective positions", "miss"]
    heads += ["rank correlation with deep_lift_shap", "top positions in common with it"]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for i, name in enumerate(runs[0]["judged"]):
        numbers = [f"{mean_over_runs(runs, name, what):.2f}" for what in ("deletion", "insertion", "in motifs")]
        numbers.append(f"{mean_over_runs(runs, name, 'effective positions'):.0f}")
        miss = mean_over_runs(runs, name, "miss")
        numbers.append("rounding" if miss < 1e-5 else f"{miss:.3f}")
        both = [statistics.mean(run["agreement"][kind][0][i] for run in runs) for kind in ("rank_correlation", "top")]
        numbers += [f"{value:.2f}" for value in both]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    accuracies = sorted({f"{run['accuracy']:.3f}" for run in runs})
    lines += [
        "",
        f"Means of {len(runs)} networks, with a test accuracy of {' to '.join({accuracies[0]: 0, accuracies[-1]: 0})}; "
        f"{work['rows']} positives of {work['length']} positions, {work['references']} references; the top are as many "
        f"positions as the motifs have, {work['top']}. Captum {work['captum']}, tangermeme {work['tangermeme']}.",
    ]
    return "\n".join(lines) + "\n"


def draw(results: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
    runs = results["runs"]
    for ax, kind, title in (
        (axes[0], "rank_correlation", "Spearman's rank correlation"),
        (axes[1], "top", f"share of the top {TOP} positions in common"),
    ):
        values = torch.tensor([run["agreement"][kind] for run in runs]).mean(dim=0)
        draw_heatmap(ax, values, list(runs[0]["judged"]), title)
    axes[1].set_yticklabels([])
    for name, color in zip(runs[0]["judged"], COLORS, strict=True):
        curves = torch.tensor([run["judged"][name]["curve"][0] for run in runs]).mean(dim=0)
        axes[2].plot(SHARES, curves, "o-", ms=3, color=color, label=name)
    axes[2].set(xlabel="share of positions deleted, those on top first", ylabel="output (logit)")
    axes[2].set_title("mean output of the positives", fontsize=10)
    axes[2].set_xscale("symlog", linthresh=0.01)
    axes[2].set_xticks([0, 0.01, 0.1, 1], ["0", "1 %", "10 %", "100 %"])
    axes[2].legend(frameon=False, fontsize=8)
    return figure


def draw_heatmap(ax: Axes, values: Tensor, names: list[str], title: str) -> None:
    ax.imshow(values, vmin=0, vmax=1, cmap="Blues")
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="w" if value > 0.6 else "k")
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_title(title, fontsize=10)


def main() -> None:
    if "--page" not in sys.argv:
        warnings.filterwarnings("ignore", ".*required_grads has been set.*|.*forward, backward.*")
        # The networks are too small for several threads.
        torch.set_num_threads(1)
        machine, start = describe_machine(), time.perf_counter()
        runs = [study(seed) for seed in SEEDS]
        workload = {"rows": ROWS, "length": LENGTH, "references": REFERENCES, "shuffles": SHUFFLES, "top": TOP}
        workload |= {"captum": version("captum"), "tangermeme": version("tangermeme")}
        workload |= {"seconds": time.perf_counter() - start}
        write_results("study_methods", {"workload": workload, "runs": runs}, machine)
        draw(read_results("study_methods")).savefig(PICTURES / "methods.png", dpi=110)
    update_page("methods", table(read_results("study_methods")))


if __name__ == "__main__":
    main()
