"""Ask which implementations find planted motifs that decide the label of a sequence, by grammar.

Usage: ``python benchmarks/study_planted.py``; ``--page`` only draws what is stored.
Networks learn five grammars, three seeds each; their positives are explained by every implementation of the suite
"planted". Which positions are found is known; what the network makes of them is measured by deletion and insertion.
Writes results/study_planted.json, docs/studies/images/planted.png and the numbers in docs/studies/planted.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from harness import describe_machine, read_results, write_results
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pages import BLUE, GREEN, ORANGE, PINK, update_page
from suite_tables import IMAGES, to_markdown

from seqlight.metrics import faithfulness_area
from seqlight.studies.agreement import motif_agreement
from seqlight.studies.results import StudyResults
from seqlight.studies.suites.planted import NETWORKS, SEEDS, SUITE, held_out, held_out_positives, trained_network
from seqlight.studies.suites.registry import run_suite
from seqlight.studies.suites.small_networks import accuracy

GROUPS = [f"{grammar}, {architecture}" for grammar, architecture in NETWORKS]
COLUMNS = ["recall", "share", "decoys", "deletion", "insertion"]
# The colour of each kind of method in the picture, and of each implementation.
COLORS = {
    "DeepLIFT by the same rules": BLUE,
    "Captum's DeepLift": ORANGE,
    "letters replaced: mutagenesis, occlusion": GREEN,
    "gradients": PINK,
    "chance": "0.6",
}
KINDS = {"seqlight": BLUE, "tangermeme": BLUE, "shap": BLUE, "captum-deeplift": ORANGE, "chance": "0.6"}


def measure(results: StudyResults) -> Iterator[dict[str, Any]]:
    """Return a row for each network and implementation; without numbers where there are no contributions."""
    cells = results.cells.set_index(["model", "implementation"])
    for grammar, architecture in NETWORKS:
        for seed in SEEDS:
            name = f"{grammar}, {architecture}: seed {seed}"
            model, data = trained_network(grammar, architecture, seed), held_out_positives(grammar, seed)
            for implementation in results.implementations:
                cell = cells.loc[(name, implementation)]
                row = {"group": f"{grammar}, {architecture}", "seed": seed, "implementation": implementation}
                row |= {"status": cell["status"], "verdict": cell["verdict"], "miss": cell["miss"]}
                if cell["status"] == "ok":
                    found = results.contributions(name, implementation)
                    track = found.mean(dim=1) if found.ndim == 3 else found
                    row |= {"recall": cell["motif_recall"], "share": cell["motif_share"]}
                    row["decoys"] = motif_agreement(found, data.decoys)["motif_share"]
                    row["deletion"] = float(faithfulness_area(model, data.X, track, "deletion"))
                    row["insertion"] = float(faithfulness_area(model, data.X, track, "insertion"))
                yield {key: None if pd.isna(value) else value for key, value in row.items()}


def measure_networks() -> Iterator[dict[str, Any]]:
    """Return how well each network has learnt its grammar, and what is to be found."""
    for grammar, architecture in NETWORKS:
        for seed in SEEDS:
            data, positives = held_out(grammar, seed), held_out_positives(grammar, seed)
            yield {
                "group": f"{grammar}, {architecture}",
                "seed": seed,
                "accuracy": accuracy(trained_network(grammar, architecture, seed), data.X, data.y),
                "motifs": float(positives.motifs.double().mean()),
                "decoys": float(positives.decoys.double().mean()),
            }


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    rows, networks = pd.DataFrame(results["rows"]), pd.DataFrame(results["networks"])
    order = list(results["implementations"])
    lines = ["Share of the positions that decide among as many top positions, mean and range of three networks:\n"]
    lines.append(to_markdown(by_group(rows, order, "recall")))
    lines.append("Area by which deletion of the top positions beats that of random ones, likewise:\n")
    lines.append(to_markdown(by_group(rows, order, "deletion")))
    lines.append("The same for insertion:\n")
    lines.append(to_markdown(by_group(rows, order, "insertion")))
    lines.append("Means of all networks that an implementation explains:\n")
    lines.append(to_markdown(overall(rows, order)))
    lines.append("The networks, on sequences that they have not seen:\n")
    learned = networks.groupby("group", sort=False)
    shown = pd.DataFrame(
        {
            "network": list(learned.groups),
            "accuracy, worst of three": learned["accuracy"].min().map("{:.3f}".format).tolist(),
            "positions that decide": learned["motifs"].mean().map("{:.0%}".format).tolist(),
            "positions of decoys": learned["decoys"].mean().map("{:.0%}".format).tolist(),
        }
    )
    lines.append(to_markdown(shown))
    versions = ", ".join(f"{one['package']} {one['version']}" for one in results["implementations"].values())
    lines.append(f"Versions: {', '.join(dict.fromkeys(versions.split(', ')))}; PyTorch {results['machine']['torch']}.")
    return "\n".join(lines) + "\n"


def by_group(rows: pd.DataFrame, order: list[str], column: str) -> pd.DataFrame:
    """Return a row for each implementation and a column for each grammar, as "mean (least to largest)"."""

    def spread(values: pd.Series) -> str:
        known = values.dropna().astype(float)
        if known.empty:
            return "refused"
        return f"{known.mean():.2f} ({known.min():.2f} to {known.max():.2f})"

    wide = rows.groupby(["implementation", "group"], sort=False)[column].agg(spread).unstack()
    return wide.loc[order, GROUPS].rename_axis(None).reset_index(names="")


def overall(rows: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return the means of each implementation, and by how much it differs from the first over the same networks."""
    wide = rows.pivot(index=["group", "seed"], columns="implementation", values="recall").astype(float)
    shown = []
    for name in order:
        mine = rows[rows["implementation"] == name]
        one: dict[str, str] = {"": name, "networks": str(int((mine["status"] == "ok").sum()))}
        one |= {column: f"{mine[column].astype(float).mean():.2f}" for column in COLUMNS}
        gap = (wide[name] - wide[order[0]]).dropna()
        one["recall, less that of seqlight"] = f"{gap.mean():+.2f} ± {gap.std():.2f}" if name != order[0] else ""
        misses = mine["miss"].dropna().astype(float)
        one["largest miss"] = "rounding" if misses.max() < 1e-6 else f"{misses.max():.2g}"
        one["as shipped"] = ", ".join(f"{n} {what}" for what, n in mine["verdict"].value_counts().items())
        shown.append(one)
    return pd.DataFrame(shown)


def draw(results: dict[str, Any]) -> Figure:
    """Draw each network as a dot: implementations under one another, grammars side by side."""
    rows, order = pd.DataFrame(results["rows"]), list(results["implementations"])
    figure = Figure(figsize=(15, 8), layout="constrained")
    axes = figure.subplots(2, len(GROUPS), sharey=True, sharex="row")
    for line, (column, label) in zip(
        axes, (("recall", "recall of planted positions"), ("deletion", "area of deletion")), strict=True
    ):
        for ax, group in zip(line, GROUPS, strict=True):
            for place, name in enumerate(order):
                mine = rows[(rows["group"] == group) & (rows["implementation"] == name)][column].astype(float)
                color = KINDS.get(name, GREEN if name in ("mutagenesis", "captum-occlusion") else PINK)
                ax.plot(mine, [place] * len(mine), "o", color=color, ms=5, alpha=0.75)
            ours = rows[(rows["group"] == group) & (rows["implementation"] == order[0])][column].astype(float)
            ax.axvspan(ours.min(), ours.max(), color=BLUE, alpha=0.12, lw=0)
            ax.grid(axis="y", color="0.92")
            ax.set_xlabel(label, fontsize=9)
        line[0].set_yticks(range(len(order)), [results["implementations"][name]["title"] for name in order], fontsize=9)
    axes[0, 0].invert_yaxis()
    for ax, group in zip(axes[0], GROUPS, strict=True):
        ax.set_title(group, fontsize=11)
    marks = [Line2D([], [], ls="", marker="o", color=color, label=name) for name, color in COLORS.items()]
    marks.append(Patch(color=BLUE, alpha=0.12, label="range of seqlight's three networks"))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False, fontsize=9)
    return figure


def run() -> dict[str, Any]:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = run_suite(SUITE, folder)
        assert isinstance(found, StudyResults)
        rows = list(measure(found))
        described = {
            name: {key: one[key] for key in ("title", "package", "version")}
            for name, one in found.settings["implementations"].items()
        }
    return {
        "seconds": time.perf_counter() - start,
        "implementations": described,
        "networks": list(measure_networks()),
        "rows": rows,
    }


def main() -> None:
    if "--page" not in sys.argv:
        # The networks are too small for several threads.
        torch.set_num_threads(1)
        machine = describe_machine()
        write_results("study_planted", run(), machine)
    results = read_results("study_planted")
    draw(results).savefig(IMAGES / "planted.png", dpi=110)
    update_page("studies/planted", table(results))


if __name__ == "__main__":
    main()
