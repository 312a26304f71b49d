"""The suites by name, and how one is run."""

from __future__ import annotations

import json
import os
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from seqlight.errors import InputError
from seqlight.files.atomic import atomic_write
from seqlight.files.folder import as_folder
from seqlight.studies.results import StudyResults
from seqlight.studies.study import Study
from seqlight.studies.suites.suite import CellSuite, Suite

SUITES = ("operations", "architectures", "references", "planted", "seqlets", "shuffles", "numerics")


def load_suite(name: str) -> Suite:
    """Return a suite by its name.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in SUITES:
        raise InputError(f"suite is {name!r}: expected one of {', '.join(SUITES)}.")
    found: Suite = import_module(f"seqlight.studies.suites.{name}").SUITE
    return found


def run_suite(
    suite: Suite,
    out: str | os.PathLike[str],
    *,
    implementations: Any = None,
    retry: bool = False,
    threads: int | None = None,
    verbose: bool = True,
) -> StudyResults | dict[str, pd.DataFrame]:
    """Run a suite into a folder, and return its results: those of a study, or tables.

    Parameters
    ----------
    suite : Suite
    out : str or path
        The folder; a suite of cells goes on where it was interrupted, tables are written as CSV, and read if there.
    implementations : optional
        Others than those of the suite, as in :class:`seqlight.studies.Study`.
    retry : bool
        Compute cells anew that ended in an error or at a limit.
    threads : int, optional
        Threads of each process; by default one, which is fastest for small models.
    verbose : bool
        Show a progress bar.
    """
    if isinstance(suite, CellSuite):
        study = Study(
            suite.cases(),
            implementations=implementations or suite.implementations,
            dtypes=suite.dtypes,
            n_references=suite.n_references,
            time_limit=suite.time_limit,
            threads=threads or 1,
            audit=False,
            every_dtype=True,
        )
        return study.run(out, verbose=verbose, retry=retry)
    folder = as_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    made = {"suite": suite.name, "versions": {name: version(name) for name in ("seqlight", "torch")}}
    return (None if retry else _read_tables(folder, made)) or _write_tables(folder, made, suite.tables())


def _read_tables(folder: Path, made: dict[str, Any]) -> dict[str, pd.DataFrame] | None:
    """Return the tables of a folder, or None unless all are there and of the same suite and versions."""
    try:
        stored = json.loads((folder / "suite.json").read_text(encoding="utf-8"))
        names = stored.pop("tables")
        return {name: pd.read_csv(folder / f"{name}.csv") for name in names} if stored == made else None
    except (OSError, ValueError, KeyError):
        return None


def _write_tables(folder: Path, made: dict[str, Any], tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Write tables, and last the file that says that they are complete."""
    for name, table in tables.items():
        with atomic_write(folder / f"{name}.csv", wait=False) as partial:
            table.to_csv(partial, index=False)
    with atomic_write(folder / "suite.json", wait=False) as partial:
        partial.write_text(json.dumps(made | {"tables": list(tables)}), encoding="utf-8")
    return tables
