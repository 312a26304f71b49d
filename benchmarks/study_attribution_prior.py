"""Ask whether an attribution prior puts more of the attribution on a planted motif, and what it costs in accuracy.

Usage: ``python benchmarks/study_attribution_prior.py [seeds]``; ``--page`` only writes the page from what is stored.
Positives have one motif at a random place, and a tenth of the training labels is wrong. The same small network is
trained without a prior, with the Fourier prior, and with one on the Gini coefficient, from the start or once it has
learned something; from the same weights, on the same batches, with other data and other weights for each seed. All are
compared on sequences that they have not seen, with their true labels. Mutagenesis, which no prior has seen, says
whether the network has changed or only its DeepLIFT.
Writes results/study_attribution_prior.json, docs/studies/images/attribution_prior.png and the numbers in
docs/studies/attribution_prior.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any, cast

import torch
from harness import count_argument, describe_machine, read_results, write_results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import BLUE, DOCS, GREEN, ORANGE, PINK, update_page
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import seqlight as sl
from seqlight.lit import AttributionPrior
from seqlight.lit.penalties import Fourier, Sparsity

MOTIF, LENGTH, WRONG = "TGACTCA", 60, 0.1
TRAINED, HELD_OUT, EXPLAINED, SHUFFLES = 1536, 2048, 128, 10
EPOCHS, BATCH, RATE = 16, 64, 3e-3
# With the epoch from which on they count.
PRIORS: dict[str, tuple[AttributionPrior | None, int]] = {
    "none": (None, 0),
    "Fourier": (AttributionPrior(Fourier(), 1.0), 0),
    "Gini": (AttributionPrior(Sparsity("gini"), 0.3), 0),
    "Gini, later": (AttributionPrior(Sparsity("gini"), 0.3), 4),
}
MEASURES = {
    "auroc": "AUROC",
    "share": "DeepLIFT on the motif",
    "mutagenesis_share": "mutagenesis on the motif",
    "high": "high frequencies",
}
# With the least value that is drawn where it is.
SHOWN = {"auroc": 0.995, "share": 0.68, "mutagenesis_share": 0.68}
COLORS = dict(zip(PRIORS, (ORANGE, BLUE, PINK, GREEN), strict=True))


def planted(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return sequences, labels, every second of which is 1, and where the motif is: a mask, (rows, positions)."""
    generator = torch.Generator().manual_seed(seed)
    X, y = sl.random_one_hot((n, 4, LENGTH), random_state=seed).float(), torch.arange(n) % 2
    inside = torch.zeros(n, LENGTH, dtype=torch.bool)
    letters = sl.one_hot_encode(MOTIF).float()
    for row in range(1, n, 2):
        start = int(torch.randint(LENGTH - len(MOTIF) + 1, (), generator=generator))
        X[row, :, start : start + len(MOTIF)] = letters
        inside[row, start : start + len(MOTIF)] = True
    return X, y.float(), inside


def make_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    body = [nn.Conv1d(4, 16, 9, padding=4), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(16, 16, 5, padding=2), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(16, 1))


def train(seed: int, prior: AttributionPrior | None, start: int, n: int = TRAINED, epochs: int = EPOCHS) -> nn.Module:
    """Return a network that was trained on sequences and weights of this seed, with a prior from epoch `start` on."""
    X, y, _ = planted(n, 2 * seed)
    generator = torch.Generator().manual_seed(seed)
    y = torch.where(torch.rand(n, generator=generator) < WRONG, 1 - y, y)
    model = make_network(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for epoch in range(epochs):
        for rows in torch.randperm(n, generator=generator).split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(X[rows])[:, 0], y[rows])
            (loss if prior is None or epoch < start else loss + prior(model, X[rows])).backward()
            optimizer.step()
    return model.eval()


def judge(model: nn.Module, seed: int, n: int = HELD_OUT) -> dict[str, float]:
    """Return what a network finds in sequences that it has not seen, and where its attribution lies."""
    X, y, inside = planted(n, 2 * seed + 1)
    some = (y == 1).nonzero()[:EXPLAINED, 0]
    settings = {"random_state": 0, "device": "cpu"}
    by_deeplift = cast(Tensor, sl.deep_lift_shap(model, X[some], n_shuffles=SHUFFLES, **settings))
    by_mutagenesis = cast(Tensor, sl.saturation_mutagenesis(model, X[some], device="cpu"))
    return {
        "auroc": float(roc_auc_score(y, sl.predict(model, X, device="cpu")[:, 0])),
        "share": share_inside(by_deeplift, inside[some]),
        "mutagenesis_share": share_inside(by_mutagenesis, inside[some]),
        "high": float(Fourier()(by_deeplift, X[some]).mean()),
    }


def share_inside(attributions: Tensor, inside: Tensor) -> float:
    """Return the mean share of the size of attributions that lies inside."""
    sizes = attributions.sum(dim=1).abs()
    return float(((sizes * inside).sum(dim=1) / sizes.sum(dim=1)).mean())


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    lines = [f"| prior | {' | '.join(MEASURES.values())} |", "|---" * (len(MEASURES) + 1) + "|"]
    for name in PRIORS:
        values = {measure: values_of(results, name, measure) for measure in MEASURES}
        cells = [spread(one, ".4f" if measure == "auroc" else ".3f") for measure, one in values.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name in list(PRIORS)[1:]:
        cells = ["{:+.4f} ± {:.4f}".format(*difference(results, name, measure)) for measure in MEASURES]
        lines.append(f"| {name}, less none | {' | '.join(cells)} |")
    seeds, seconds = len(results["workload"]["seeds"]), results["workload"]["cpu_seconds"]
    note = (
        f"Means, and ranges in parentheses, of {seeds} networks; below, differences between networks of the same seed, "
        f"with their standard error. It took {seconds:.0f} s of one core ({results['machine']['cpu']})."
    )
    return "\n".join([*lines, "", note]) + "\n"


def spread(values: list[float], digits: str) -> str:
    return f"{statistics.mean(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def values_of(results: dict[str, Any], prior: str, measure: str) -> list[float]:
    """Return one number for each seed."""
    return [one[prior][measure] for one in results["networks"]]


def difference(results: dict[str, Any], prior: str, measure: str) -> tuple[float, float]:
    """Return by how much a prior changes a measure, mean over seeds, and its standard error."""
    pairs = zip(values_of(results, prior, measure), values_of(results, "none", measure), strict=True)
    changes = [one - other for one, other in pairs]
    return statistics.mean(changes), statistics.stdev(changes) / len(changes) ** 0.5


def draw(results: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for ax, (measure, least) in zip(figure.subplots(1, len(SHOWN)), SHOWN.items(), strict=True):
        draw_networks(ax, results, measure, least)
    return figure


def draw_networks(ax: Axes, results: dict[str, Any], measure: str, least: float) -> None:
    """Draw a dot for each network, or a triangle for one below `least`, and a line between those of one seed."""
    for one in results["networks"]:
        values = [one[name][measure] for name in PRIORS]
        ax.plot(range(len(values)), [max(value, least) for value in values], color="0.85", lw=0.8, zorder=0)
    for x, (name, color) in enumerate(COLORS.items()):
        for value in values_of(results, name, measure):
            ax.plot(x, max(value, least), "v" if value < least else "o", color=color, ms=5)
            if value < least:
                ax.annotate(f"  {value:.2f}", (x, least), va="center", color="0.3")
    ax.set_xticks(range(len(PRIORS)), list(PRIORS))
    ax.set_title(f"{MEASURES[measure]}, unseen sequences", fontsize=10)


def main(seeds: int) -> None:
    # The network is too small for several threads.
    torch.set_num_threads(1)
    machine, start = describe_machine(), time.process_time()
    networks = []
    for seed in range(seeds):
        networks.append({name: judge(train(seed, *prior), seed) for name, prior in PRIORS.items()})
        print(seed, networks[-1], flush=True)
    workload = {"seeds": list(range(seeds)), "trained": TRAINED, "held_out": HELD_OUT, "epochs": EPOCHS}
    workload["cpu_seconds"] = time.process_time() - start
    write_results("study_attribution_prior", {"workload": workload, "networks": networks}, machine)


if __name__ == "__main__":
    if "--page" not in sys.argv:
        main(count_argument(8))
    results = read_results("study_attribution_prior")
    draw(results).savefig(DOCS / "studies" / "images" / "attribution_prior.png", dpi=110)
    update_page("studies/attribution_prior", table(results))
