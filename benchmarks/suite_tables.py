"""A suite of tables: run it, store what comes out, and show it on its page."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from harness import describe_machine, read_results, write_results
from matplotlib.figure import Figure
from pages import DOCS, update_page

from seqlight.studies.suites.suite import TableSuite

IMAGES = DOCS / "studies" / "images"
Tables = dict[str, pd.DataFrame]


def update_study(
    suite: TableSuite, packages: Iterable[str], draw: Callable[[Tables], Figure], table: Callable[[Tables], str]
) -> None:
    """Run a suite, unless ``--page`` is given, and write its picture and the numbers on its page.

    Parameters
    ----------
    suite : TableSuite
    packages : iterable of str
        Those whose versions are stored.
    draw, table : callable
        Return the picture, and the numbers as Markdown.
    """
    if "--page" not in sys.argv:
        print(store_tables(suite, packages))
    tables = read_tables(suite.name)
    draw(tables).savefig(IMAGES / f"{suite.name}.png", dpi=110)
    update_page(f"studies/{suite.name}", table(tables))


def store_tables(suite: TableSuite, packages: Iterable[str] = ()) -> Path:
    """Run a suite and write its tables, the machine and the versions into ``results/study_<name>.json``."""
    machine, start = describe_machine(), time.perf_counter()
    tables = {name: _records(table) for name, table in suite.tables().items()}
    found = {
        "question": suite.question,
        "seconds": round(time.perf_counter() - start, 1),
        "versions": {package: version(package) for package in packages},
        "tables": tables,
    }
    return write_results(f"study_{suite.name}", found, machine)


def read_tables(name: str) -> Tables:
    """Return the tables of ``results/study_<name>.json``."""
    return {name: pd.DataFrame(rows) for name, rows in read_results(f"study_{name}")["tables"].items()}


def to_markdown(table: pd.DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """Return a table as Markdown; `formats` by column, such as ".2f", and what is missing is left empty."""
    formats = dict(formats or {})
    lines = [f"| {' | '.join(map(str, table.columns))} |", "|---" * len(table.columns) + "|"]
    for row in table.astype(object).itertuples(index=False):
        cells = [_cell(value, formats.get(str(name), "")) for name, value in zip(table.columns, row, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: Any, spec: str) -> str:
    return "" if pd.isna(value) else format(value, spec)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object)
    records: list[dict[str, Any]] = rows.where(rows.notna(), None).to_dict("records")
    return records
