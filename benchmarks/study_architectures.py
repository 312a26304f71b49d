"""Ask which implementation is complete on which architecture, as its authors write it, untrained and trained.

Usage: ``python benchmarks/study_architectures.py [FOLDER]``; ``--page`` only draws what is stored. With a folder, cells
that are in it are not computed again. Writes results/study_architectures.json, docs/studies/images/architectures.png
and architectures_numbers.png, and the numbers in docs/studies/architectures.md.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import pandas as pd
import torch
from architectures_picture import draw_matrix, draw_numbers
from harness import read_results
from pages import update_page
from suite_cells import store_cells
from suite_tables import IMAGES, to_markdown

from seqlight.attribution.audit.result import TOLERANCES
from seqlight.studies.report.judgement import APPROXIMATE
from seqlight.studies.results import StudyResults
from seqlight.studies.suites.architectures import ARCHITECTURES, SUITE
from seqlight.studies.suites.architectures.architecture import make_trained, planted

COMPLETE = TOLERANCES[torch.float64]
# What comes of a cell of an implementation that promises to be complete, the best first.
VERDICTS = ("complete", "approximate", "wrong and warned", "wrong in silence", "refused", "error")
# How they are called on the page, where that is not said well enough by the name.
NAMES = {"approximate": "misses up to 5 %"}


def summarize(found: StudyResults) -> dict[str, Any]:
    """Return what is stored: a record for each cell, and what is known of each model."""
    about = found.settings["implementations"]
    return {
        "question": SUITE.question,
        "seconds of all calls": round(float(found.cells[["seconds_first", "seconds"]].sum().sum())),
        "versions": {name: version(name) for name in ("torch", "seqlight", "tangermeme", "captum", "shap")},
        "implementations": {name: about[name]["title"] for name in found.implementations},
        "promise": [name for name in found.implementations if about[name]["complete"]],
        "trained": measure_models(),
        "mixed rows": {
            name: float(f"{found.mixed_rows(name):.2g}") for name in found.models if found.mixed_rows(name) > COMPLETE
        },
        "cells": record_cells(found.cells),
    }


def record_cells(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what is stored of each cell: all of it in float64, and the miss and the time in float32."""
    wide, narrow = (cells[cells["dtype"] == dtype] for dtype in ("float64", "float32"))
    records = []
    for (_, one), (_, other) in zip(wide.iterrows(), narrow.iterrows(), strict=True):
        assert (one["model"], one["implementation"]) == (other["model"], other["implementation"])
        record = record_cell(one)
        if other["status"] == "ok":
            # The faster of the two calls, so that what else the machine did counts less.
            seconds = min(other["seconds_first"], other["seconds"])
            record |= {"ms": float(f"{1000 * seconds:.3g}"), "miss_float32": float(f"{other['miss']:.2g}")}
        records.append(record)
    return records


def record_cell(cell: pd.Series[Any]) -> dict[str, Any]:
    numbers = {"miss": 2, "miss_max": 2, "r": 3, "sign_flips": 2, "top_overlap": 2, "motif_share": 2, "motif_recall": 2}
    record = {name: cell[name] for name in ("model", "implementation", "status", "verdict")}
    record |= {name: float(f"{cell[name]:.{digits}g}") for name, digits in numbers.items() if pd.notna(cell[name])}
    return record | ({"error": cell["error"].splitlines()[0][:160]} if cell["error"] else {})


def measure_models() -> dict[str, float]:
    """Return the area under the ROC curve of the explained output of each trained model, on sequences held out."""
    split = planted("test")
    found = {}
    for one in ARCHITECTURES:
        with torch.no_grad():
            scores = make_trained(one)(split.X.float())[:, 0]
        higher = scores[split.y == 1][:, None] > scores[split.y == 0]
        found[one.name] = round(float(higher.float().mean()), 3)
    return found


def as_frame(results: dict[str, Any]) -> pd.DataFrame:
    """Return a row for each cell, with the architecture, its state, and what came of it."""
    cells = pd.DataFrame(results["cells"])
    cells[["architecture", "state"]] = [split_name(name) for name in cells["model"]]
    mixed = set(results["mixed rows"])
    cells["outcome"] = [outcome(cell, mixed) for _, cell in cells.iterrows()]
    return cells


def split_name(name: str) -> tuple[str, str]:
    left, right = name.split(": ")
    return (right, "matrix") if left == "matrix" else (left, right)


def outcome(cell: pd.Series[Any], mixed: set[str]) -> str:
    """Return which of VERDICTS a cell has; where rows depend on one another there is nothing to be complete for."""
    if cell["status"] != "ok":
        return "refused" if cell["status"] == "refused" else "error"
    if cell["model"] in mixed or not cell["miss"] <= COMPLETE:
        if cell["miss"] <= APPROXIMATE and cell["model"] not in mixed:
            return "approximate"
        return "wrong in silence" if cell["verdict"] == "silent" else "wrong and warned"
    return "complete"


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    cells, versions = as_frame(results), results["versions"]
    lines = [
        f"PyTorch {versions['torch']}, tangermeme {versions['tangermeme']}, captum {versions['captum']}, shap "
        f"{versions['shap']}; 4 sequences, 3 references each. Where an implementation is not complete (to 1e-6, in "
        "float64), a cell says how many times the mean output difference its contributions miss, and how they "
        "correlate (r) with ours. *Italics*: up to 0.05 (5 %), warned or not. **Bold**: more, and nothing is said; or "
        "any numbers without a word on a model that mixes the rows of a batch, where no miss is small enough.\n"
    ]
    for state in ("untrained", "trained"):
        lines += [f"### {state.capitalize()}\n", to_markdown(tabulate(results, cells, state))]
    lines += ["### How often\n", to_markdown(count(results, cells))]
    lines += [
        "Times are in float32, as ratios to ours, of the models on which both miss at most 5 %: median and range of "
        "nine in ten. "
        "*In motifs*: the share of motif positions among as many top positions, a mean over the trained models for "
        "which an implementation gives numbers, right or wrong, and ours on the same models.\n",
        to_markdown(compare(results, cells)),
        "### Nine networks of a few lines\n",
        to_markdown(tabulate_matrix(results, cells)),
    ]
    return "\n".join(lines)


def tabulate(results: dict[str, Any], cells: pd.DataFrame, state: str) -> pd.DataFrame:
    rows = []
    of_state = cells[cells["state"] == state].set_index(["architecture", "implementation"])
    for one in ARCHITECTURES:
        row: dict[str, Any] = {"": one.name}
        if state == "trained":
            row["AUROC"] = f"{results['trained'][one.name]:.2f}"
        row |= {short(results, name): spell(of_state.loc[(one.name, name)]) for name in results["promise"]}
        rows.append(row)
    return pd.DataFrame(rows)


def spell(cell: pd.Series[Any]) -> str:
    """Return a cell in a few characters."""
    if cell["outcome"] in ("refused", "error"):
        return str(cell["outcome"])
    if cell["outcome"] == "complete":
        return "complete"
    text = f"{cell['miss']:.2g}" + (f", r {cell['r']:.2f}" if pd.notna(cell["r"]) else "")
    mark = {"wrong in silence": "**", "approximate": "*"}.get(cell["outcome"], "")
    return f"{mark}{text}{mark}" + ("" if cell["verdict"] == "silent" else ", warned")


def count(results: dict[str, Any], cells: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name in results["promise"]:
        found = cells[(cells["implementation"] == name) & (cells["state"] != "matrix")]["outcome"].value_counts()
        counts = {NAMES.get(one, one): int(found.get(one, 0)) for one in VERDICTS}
        rows.append({"": results["implementations"][name]} | counts)
    return pd.DataFrame(rows)


def compare(results: dict[str, Any], cells: pd.DataFrame) -> pd.DataFrame:
    """Return, for each implementation, how it compares with ours where both have numbers."""
    ours = cells[(cells["implementation"] == "seqlight") & (cells["outcome"] == "complete")].set_index("model")
    rows = []
    for name, title in results["implementations"].items():
        theirs = cells[(cells["implementation"] == name) & cells["model"].isin(ours.index)].set_index("model")
        theirs = theirs[theirs["status"] == "ok"]
        alike = (
            theirs if name not in results["promise"] else theirs[theirs["outcome"].isin(("complete", "approximate"))]
        )
        ratios = alike["ms"] / ours["ms"].loc[alike.index]
        low, middle, high = (ratios.quantile(share) for share in (0.05, 0.5, 0.95))
        trained = theirs[theirs["state"] == "trained"]
        rows.append({
            "": title,
            "models": len(alike),
            "time": "1" if name == "seqlight" else f"{middle:.2g} ({low:.1g} to {high:.2g})",
            "r with ours, all models": f"{theirs['r'].mean():.2f}",
            "in motifs": f"{trained['motif_recall'].mean():.2f}",
            "ours on the same": f"{ours['motif_recall'].loc[trained.index].mean():.2f}",
            "trained models": len(trained),
        })  # fmt: skip
    return pd.DataFrame(rows)


def tabulate_matrix(results: dict[str, Any], cells: pd.DataFrame) -> pd.DataFrame:
    of_matrix = cells[cells["state"] == "matrix"].set_index(["architecture", "implementation"])
    return pd.DataFrame([
        {"": network} | {short(results, name): spell(of_matrix.loc[(network, name)]) for name in results["promise"]}
        for network in of_matrix.index.unique("architecture")
    ])  # fmt: skip


def short(results: dict[str, Any], name: str) -> str:
    title: str = results["implementations"][name]
    return title.replace("integrated gradients", "IG").replace("'s DeepExplainer", "")


def main() -> None:
    if "--page" not in sys.argv:
        print(store_cells(SUITE, summarize, *sys.argv[1:2]))
    results = read_results("study_architectures")
    cells = as_frame(results)
    draw_matrix(cells, results).savefig(IMAGES / "architectures.png", dpi=110)
    draw_numbers(cells, results).savefig(IMAGES / "architectures_numbers.png", dpi=110)
    update_page("studies/architectures", table(results))


if __name__ == "__main__":
    main()
