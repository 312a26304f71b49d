"""A table of a page that readers sort and filter."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from markupsafe import Markup

# Longer tables are cut, since a browser holds all rows in memory.
MOST_ROWS = 10_000
SHOWN = 25
# Longer texts are cut.
MOST_CHARACTERS = 80


class Cell(NamedTuple):
    """What a cell shows, and where it links to; nowhere if that is empty."""

    text: str
    link: str
    number: bool


@dataclass(frozen=True)
class DataTable:
    """A table that is sorted by clicking on the name of a column, and filtered by typing.

    Without a script it shows its first rows.

    Attributes
    ----------
    table : pandas.DataFrame
        Numbers and texts. Of more than 10,000 rows the first 10,000 are in the page, which says so.
    caption : str
    links : mapping of str to mapping
        By column, where its values link to.
    urls : mapping of str to str
        By column, where all of its values link to, with ``{}`` in place of the value.
    """

    table: pd.DataFrame
    caption: str
    links: Mapping[str, Mapping[Any, str]] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """The caption, and how many rows there are."""
        n = len(self.table)
        cut = f" The first {MOST_ROWS:,} of {n:,} rows are in this page." if n > MOST_ROWS else ""
        return f"{self.caption}{cut}"

    def columns(self) -> list[dict[str, Any]]:
        """Return what is known of each column: its name, whether it holds numbers, and its links."""
        found: list[dict[str, Any]] = []
        for name in map(str, self.table.columns):
            numeric = pd.api.types.is_numeric_dtype(self.table[name]) and self.table[name].dtype != bool
            one: dict[str, Any] = {"name": name, "number": bool(numeric)}
            if name in self.links:
                one["links"] = {str(value): link for value, link in self.links[name].items()}
            if name in self.urls:
                one["url"] = self.urls[name]
            found.append(one)
        return found

    def first_rows(self) -> list[list[Cell]]:
        """Return the cells of the rows that are shown at first."""
        columns = self.columns()
        return [[_cell(value, column) for value, column in zip(row, columns, strict=True)] for row in self._rows(SHOWN)]

    def content(self) -> Markup:
        """Return columns and rows as JSON that can stand in a script."""
        content = {"columns": self.columns(), "shown": SHOWN, "rows": self._rows(MOST_ROWS)}
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return Markup(text.replace("<", "\\u003c"))  # so that no value ends the script

    def _rows(self, most: int) -> list[list[Any]]:
        columns = [[_plain(value) for value in self.table[name].iloc[:most].tolist()] for name in self.table.columns]
        return [list(row) for row in zip(*columns, strict=True)]


@cache
def table_script() -> Markup:
    """Return the script that sorts and filters all tables of a page."""
    return Markup(resources.files("seqlight.report").joinpath("data_table.js").read_text(encoding="utf-8"))


def cell_text(value: Any) -> str:
    """Return what a cell shows, four significant digits of a number.

    Examples
    --------
    >>> from seqlight.report.data_table import cell_text
    >>> [cell_text(one) for one in (12345, 0.123456, 1.5e-7, 123456.7, None, "GATA1")]
    ['12,345', '0.1235', '1.500e-7', '123500', '–', 'GATA1']
    """
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, str):
        return value
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    if 1e-4 <= abs(value) < 1e6:
        return np.format_float_positional(float(f"{value:.4g}"), trim="-")
    digits, exponent = f"{value:.3e}".split("e")
    return f"{digits}e{int(exponent):+d}"


def _cell(value: Any, column: Mapping[str, Any]) -> Cell:
    link = "" if value is None else column.get("links", {}).get(str(value), "")
    if value is not None and "url" in column:
        link = column["url"].replace("{}", quote(str(value), safe=""))
    return Cell(cell_text(value), link, column["number"])


def _plain(value: Any) -> str | int | float | None:
    """Return a value as JSON knows it: six significant digits of a number, and None for what is missing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    text = str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
