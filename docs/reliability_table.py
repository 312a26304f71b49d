"""Write the tables of docs/reliability.md from the tests that are marked with ``reliability``.

Usage: ``python docs/reliability_table.py``; with ``--check`` it only reports whether the page is up to date.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from generated_regions import main

ROOT = Path(__file__).parent.parent


class Trial(NamedTuple):
    """One row: the area, what was tried there, what happens, and the file of the test."""

    area: str
    tried: str
    outcome: str
    file: str


def trials() -> list[Trial]:
    """Return the marks of all tests, in the order of files and lines."""
    found = [one for path in sorted((ROOT / "tests").rglob("test_*.py")) for one in _marks(path)]
    return list(dict.fromkeys(found))


def _marks(path: Path) -> Iterator[Trial]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reliability":
            area, tried, outcome = (ast.literal_eval(one) for one in node.args)
            yield Trial(area, tried, outcome, path.relative_to(ROOT).as_posix())


def tables(rows: list[Trial]) -> str:
    """Return a Markdown table for each area."""
    areas = sorted({row.area for row in rows}, key=str.lower)
    lines = [f"{len(rows)} kinds of trouble in {len(areas)} areas, each covered by at least one test.", ""]
    for area in areas:
        lines += [f"## {area[0].upper()}{area[1:]}", "", "| tried | what happens | test |", "|---|---|---|"]
        for row in rows:
            if row.area == area:
                name = row.file.removeprefix("tests/")
                lines.append(f"| {_cell(row.tried)} | {_cell(row.outcome)} | [{name}](../{row.file}) |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main(ROOT / "docs" / "reliability.md", "reliability_table.py", {"tables": tables(trials())})
