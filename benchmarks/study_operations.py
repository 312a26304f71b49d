"""Ask of each operation of PyTorch, in each way to write it, which implementation explains it completely.

Usage: ``python benchmarks/study_operations.py [FOLDER]``; ``--page`` only draws what is stored. With a folder, cells
that are in it are not computed again. Writes results/study_operations.json, the pictures
docs/studies/images/operations*.png, and the numbers in docs/studies/operations.md.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from importlib.metadata import version
from typing import Any

import pandas as pd
import torch
from harness import read_results
from operation_families import GROUPS, family, group
from operations_picture import PICTURES, draw_operations, draw_spellings
from pages import update_page
from suite_cells import store_cells
from suite_tables import IMAGES, to_markdown

from seqlight.attribution.audit.result import TOLERANCES
from seqlight.studies.report.judgement import APPROXIMATE
from seqlight.studies.results import StudyResults
from seqlight.studies.suites.operations import SUITE, parse_case
from seqlight.studies.suites.operations.spellings import KINDS

# What comes of a cell, the best first.
VERDICTS = ("complete", "approximate", "wrong and warned", "wrong in silence", "refused", "error")
DTYPE = "float64"
# Errors of one kind are counted together.
LONGEST_ERROR = 110


def verdict(cell: pd.Series[Any], is_integral: bool) -> str:
    """Return which of VERDICTS a cell has."""
    if cell["status"] != "ok":
        return "refused" if cell["status"] == "refused" else "error"
    if cell["miss"] <= TOLERANCES[getattr(torch, DTYPE)]:
        return "complete"
    if is_integral and cell["miss"] <= APPROXIMATE:
        return "approximate"
    return "wrong in silence" if cell["verdict"] == "silent" else "wrong and warned"


def summarize(found: StudyResults) -> dict[str, Any]:
    """Return what is stored: for each case a verdict and a miss of each implementation."""
    cells, about = found.cells, found.settings["implementations"]
    rows: dict[str, list[str]] = {name: [] for name in found.models}
    for _, cell in cells.iterrows():
        one = verdict(cell, about[cell["implementation"]]["approximate"])
        rows[cell["model"]].append(f"{one} {cell['miss']:.1e}" if cell["status"] == "ok" else one)
    return {
        "question": SUITE.question,
        "seconds in cells": round(float(cells[["seconds_first", "seconds"]].sum().sum())),
        "dtype": DTYPE,
        "versions": {name: version(name) for name in ("torch", "seqlight", "tangermeme", "captum", "shap")},
        "implementations": {name: about[name]["title"] for name in found.implementations},
        "milliseconds": {
            name: round(1000 * float(rows["seconds"].median()), 1)
            for name, rows in cells[cells["status"] == "ok"].groupby("implementation", sort=False)
        },
        "integrated": describe_integrated(cells),
        "needless warnings": count_needless(cells),
        "changed models": {
            name: int(rows["changed_state"].map(bool).sum())
            for name, rows in cells.groupby("implementation", sort=False)
        },
        "errors": {name: count_errors(rows) for name, rows in cells.groupby("implementation", sort=False)},
        "cases": {name: "; ".join(row) for name, row in rows.items()},
    }


def describe_integrated(cells: pd.DataFrame) -> dict[str, Any]:
    """Return the operations that we integrate numerically, with the largest miss and the times of all."""
    ours = cells[cells["implementation"] == "seqlight"]
    integrated = ours[[any("IntegratedWarning" in one for one in row) for row in ours["warnings"]]]
    found: dict[str, Any] = {}
    for name, rows in integrated.groupby([parse_case(one).operation for one in integrated["model"]]):
        same = cells[cells["model"].isin(rows["model"]) & (cells["status"] == "ok")]
        times = same.groupby("implementation", sort=False)["seconds"].median() * 1000
        found[str(name)] = {
            "cases": len(rows),
            "miss": float(f"{rows['miss'].max():.1e}"),
            "milliseconds": {key: round(float(one), 1) for key, one in times.items()},
        }
    return found


def count_needless(cells: pd.DataFrame) -> dict[str, int]:
    """Return how many complete cells of each implementation came with a warning."""
    complete = cells[(cells["miss"] <= TOLERANCES[getattr(torch, DTYPE)]) & (cells["verdict"] != "silent")]
    counts = complete["implementation"].value_counts()
    return {name: int(counts.get(name, 0)) for name in SUITE.implementations}


def count_errors(cells: pd.DataFrame) -> dict[str, int]:
    """Return the errors of an implementation, the most frequent first, and how often each came."""
    texts = cells["error"][cells["error"] != ""].map(_without_details)
    return dict(Counter(texts).most_common(12))


def _without_details(text: str) -> str:
    text = re.sub(r"<class '[^']*'>", "<class ...>", text.splitlines()[0])
    text = re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", text)
    text = re.sub(r"(?<=for )'\w+(: \w+)?'|(?<=for )`?aten::\w+`?|\(AdaptiveMax\w+\)|'\w+Backward#'", "...", text)
    return text[:LONGEST_ERROR]


def as_frame(results: dict[str, Any]) -> pd.DataFrame:
    """Return a row for each cell: operation, kind, name, arguments, implementation, verdict, miss."""
    rows = []
    for case, line in results["cases"].items():
        for implementation, text in zip(results["implementations"], line.split("; "), strict=True):
            known = next(one for one in VERDICTS if text.startswith(one))
            miss = text.removeprefix(known).strip()
            rows.append({
                **parse_case(case)._asdict(),
                "case": case,
                "implementation": implementation,
                "verdict": known,
                "miss": float(miss) if miss else float("nan"),
            })  # fmt: skip
    return pd.DataFrame(rows)


def group_of(operation: str) -> str:
    return group(family(operation), operation)


def count_verdicts(cells: pd.DataFrame, by: str) -> pd.DataFrame:
    counts = cells.groupby([by, "verdict"], sort=False).size().unstack(fill_value=0)
    return counts.reindex(columns=list(VERDICTS), fill_value=0)


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    cells, titles, versions = as_frame(results), results["implementations"], results["versions"]
    operations = cells["operation"].nunique()
    lines = [
        f"{len(results['cases']):,} cases of {operations} operations, in {results['dtype']}; PyTorch "
        f"{versions['torch']}, tangermeme {versions['tangermeme']}, captum {versions['captum']}, shap "
        f"{versions['shap']}.\n",
        to_markdown(tabulate_verdicts(cells, titles)),
        "Wrong in silence / wrong and warned / refused or an error, of how many, by spelling:\n",
        to_markdown(tabulate_spellings(cells, titles)),
        "Modules alone (as `nn.ReLU` in a `Sequential`), complete or approximate, of how many, by group:\n",
        to_markdown(tabulate_modules(cells, titles)),
        "Median time of a case (4 sequences, 3 references each), and in how many a complete result came with a "
        "warning, or the model was left changed:\n",
        to_markdown(tabulate_costs(results)),
        "What we integrate numerically, with a warning, and the median time that each takes, in ms:\n",
        to_markdown(tabulate_integrated(results)),
    ]
    return "\n".join(lines)


def tabulate_verdicts(cells: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    counts = count_verdicts(cells, "implementation").loc[list(titles)]
    counts.insert(0, "", [titles[one] for one in counts.index])
    return counts


def tabulate_spellings(cells: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    rows = []
    for kind in KINDS:
        of_kind = cells[cells["kind"] == kind]
        row: dict[str, Any] = {"spelling": kind, "cases": of_kind["case"].nunique()}
        for name, title in titles.items():
            found = Counter(of_kind["verdict"][of_kind["implementation"] == name])
            stopped = found["refused"] + found["error"]
            row[title] = f"{found['wrong in silence']} / {found['wrong and warned']} / {stopped}"
        rows.append(row)
    return pd.DataFrame(rows)


def tabulate_modules(cells: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    modules = cells[cells["kind"] == "module"]
    good = modules["verdict"].isin(["complete", "approximate"])
    found = good.groupby([modules["operation"].map(group_of), modules["implementation"]]).agg(["sum", "size"])
    rows = []
    for name in GROUPS:
        if name in found.index:
            counts = {titles[one]: int(found["sum"][name, one]) for one in titles}
            rows.append({"group": name, "modules": int(found["size"][name, next(iter(titles))]), **counts})
    return pd.DataFrame(rows)


def tabulate_costs(results: dict[str, Any]) -> pd.DataFrame:
    columns = {"ms": "milliseconds", "complete with a warning": "needless warnings", "models changed": "changed models"}
    rows = [
        {"": title, **{column: results[key][name] for column, key in columns.items()}}
        for name, title in results["implementations"].items()
    ]
    return pd.DataFrame(rows)


def tabulate_integrated(results: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for operation, one in results["integrated"].items():
        times = {title: one["milliseconds"].get(name) for name, title in results["implementations"].items()}
        rows.append({"operation": operation, "cases": one["cases"], "largest miss": f"{one['miss']:.0e}", **times})
    return pd.DataFrame(rows)


def main() -> None:
    if "--page" not in sys.argv:
        print(store_cells(SUITE, summarize, *sys.argv[1:2]))
    results = read_results("study_operations")
    cells = as_frame(results)
    for name, groups in PICTURES.items():
        draw_operations(cells, results["implementations"], groups).savefig(IMAGES / f"{name}.png", dpi=110)
    draw_spellings(cells, results["implementations"]).savefig(IMAGES / "operations_by_spelling.png", dpi=110)
    update_page("studies/operations", table(results))


if __name__ == "__main__":
    main()
