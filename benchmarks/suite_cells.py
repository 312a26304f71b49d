"""A suite of cells: run it and store what its study makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import describe_machine, write_results

from seqlight.studies.results import StudyResults
from seqlight.studies.suites.registry import run_suite
from seqlight.studies.suites.suite import CellSuite


def store_cells(
    suite: CellSuite, summarize: Callable[[StudyResults], dict[str, Any]], folder: str | None = None
) -> Path:
    """Run a suite and write what is summarized, and the machine, into ``results/study_<name>.json``.

    Parameters
    ----------
    suite : CellSuite
    summarize : callable
        Returns what is stored.
    folder : str, optional
        Where the cells are kept: those that are there are not computed again. By default a scratch folder.
    """
    torch.set_num_threads(1)  # the models are small
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        found = run_suite(suite, folder or scratch)
        assert isinstance(found, StudyResults)
        return write_results(f"study_{suite.name}", summarize(found), machine)
