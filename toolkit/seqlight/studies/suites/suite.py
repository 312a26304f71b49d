"""A suite: a study that comes with the package, of cells or of tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from seqlight.studies.case import Case
from seqlight.studies.implementations.implementation import Implementation


@dataclass(frozen=True)
class CellSuite:
    """A study of implementations on cases.

    Attributes
    ----------
    name : str
        As the command line calls it.
    title, question : str
        For pages: a few words, and what the suite asks, as a sentence.
    cases : callable
        Returns the cases by name; "group: detail" where there are groups.
    implementations : sequence of str or Implementation, or "installed"
        Which take part; those that are absent are rows of the result.
    dtypes : sequence of str
    n_references : int
        References per sequence, where those of a case are a function.
    time_limit : float
        Seconds for each cell.
    """

    name: str
    title: str
    question: str
    cases: Callable[[], dict[str, Case]]
    implementations: str | Sequence[str | Implementation] = "installed"
    dtypes: Sequence[str] = ("float64",)
    n_references: int = 3
    time_limit: float = 60


@dataclass(frozen=True)
class TableSuite:
    """A study of anything but attributions, which returns tables.

    Attributes
    ----------
    name : str
        As the command line calls it.
    title, question : str
        For pages: a few words, and what the suite asks, as a sentence.
    tables : callable
        Runs the study; returns tables by name.
    """

    name: str
    title: str
    question: str
    tables: Callable[[], dict[str, pd.DataFrame]]


Suite = CellSuite | TableSuite
