"""A study: every implementation on every model, each in a process of its own."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.references import ReferenceFunction
from seqlight.errors import InputError, kind_of
from seqlight.files.digests import digest
from seqlight.files.folder import as_folder, require_writable
from seqlight.notebook.markup import shown_safely
from seqlight.prediction.progress import open_progress
from seqlight.results.identity.modules import uncompiled
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.case import Case, as_case
from seqlight.studies.descriptions import describe_case, describe_implementation, describe_model
from seqlight.studies.folder import FORMAT, StudyFolder
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.registry import choose_implementations
from seqlight.studies.notebook_tables import describe_study, study_html
from seqlight.studies.provenance import command_line, describe_machine
from seqlight.studies.results import StudyResults
from seqlight.studies.schedule import CellPlan, RunSettings, Schedule
from seqlight.studies.workers.parcel import to_bytes
from seqlight.targets.contrast import SingleTarget

DTYPES = ("float64", "float32", "bfloat16", "float16")
VERSIONS = ("seqlight", "torch", "numpy")


class Study:
    """Ask every implementation to explain every model, and measure what comes of it.

    Parameters
    ----------
    models : mapping of str to torch.nn.Module or Case
        Models by name. A model is explained on `X`; a :class:`seqlight.studies.Case` brings its own data.
    X : torch.Tensor, shape (rows, letters, positions), optional
        One-hot sequences; some eight tell as much as a thousand.
    references : torch.Tensor of shape (rows, references, letters, positions), or callable
        What to compare with; all implementations get the same.
    implementations : "installed", "all", or sequence of str or Implementation
        Which to ask. The others are compared with the first.
    dtypes : sequence of str
        "float64" shows what is missed, "float32" how long it takes. Implementations that are not complete up to
        rounding by design are asked in one of them, unless `every_dtype` is set.
    n_references : int
        References per sequence, if `references` is a function.
    args : sequence of torch.Tensor
        Further inputs of the model with a row for each sequence.
    output : int or str, optional
        Which output of a model that returns several: its number or key. One with more than two dimensions, such as a
        profile, is averaged over all beyond the second.
    target : int, or any single target of :func:`seqlight.attribute`
        The column of that output, or a function that all implementations explain with the model.
    random_state : int
        The seed of references, and of what implementations draw.
    time_limit : float
        Seconds for each cell; what takes longer is ended, and recorded as such.
    memory_limit : float, optional
        MiB for each process; by default four fifths of what is free.
    audit : bool
        Whether to find out why an implementation misses, with :func:`seqlight.audit`.
    threads : int, optional
        Threads of PyTorch in each process; by default as many as in this one.
    every_dtype : bool
        Whether every implementation is asked in every dtype.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from seqlight import random_one_hot
    >>> from seqlight.studies import Study
    >>> model = torch.nn.Sequential(torch.nn.Conv1d(4, 1, 5), torch.nn.ReLU(), torch.nn.Flatten())
    >>> X = random_one_hot((2, 4, 20), random_state=0)
    >>> study = Study({"mine": model}, X, implementations=["seqlight"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = study.run(folder, verbose=False)
    ...     list(found.cells["status"])
    ['ok', 'ok']
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module | Case],
        X: Tensor | None = None,
        references: Tensor | ReferenceFunction = dinucleotide_shuffle,
        implementations: str | Sequence[str | Implementation] = "installed",
        dtypes: Sequence[str] = ("float64", "float32"),
        n_references: int = 3,
        args: Sequence[Tensor] = (),
        output: int | str | None = None,
        target: SingleTarget = 0,
        random_state: int = 0,
        time_limit: float = 15,
        memory_limit: float | None = None,
        audit: bool = True,
        threads: int | None = None,
        every_dtype: bool = False,
    ) -> None:
        if not isinstance(models, Mapping) or not models:
            raise InputError(f"models is {kind_of(models)}: expected a mapping of at least one name to a model.")
        common = (X, references, tuple(args), target, output)
        self.cases = {str(name): as_case(str(name), one, *common) for name, one in models.items()}
        self.implementations = choose_implementations(implementations)
        self.dtypes = (dtypes,) if isinstance(dtypes, str) else tuple(dtypes)
        wrong = [one for one in self.dtypes if one not in DTYPES]
        if wrong or not self.dtypes:
            raise InputError(f"dtypes is {dtypes!r}: expected some of {', '.join(DTYPES)}.")
        self.n_references = require_count(n_references, "n_references", least=1)
        self.random_state = require_count(random_state, "random_state", least=0)
        self.time_limit, self.memory_limit = _positive(time_limit, "time_limit"), memory_limit
        if memory_limit is not None:
            _positive(memory_limit, "memory_limit")
        self.audit, self.every_dtype = audit, every_dtype
        self.threads = torch.get_num_threads() if threads is None else require_count(threads, "threads", least=1)

    def run(self, out: str | os.PathLike[str], verbose: bool = True, retry: bool = False) -> StudyResults:
        """Compute the cells that `out` does not have yet, and return all of them.

        A study that was interrupted goes on where it stopped; another model, version or seed makes other cells.

        Parameters
        ----------
        out : str or path
            The folder for the results.
        verbose : bool
            Show a progress bar.
        retry : bool
            Compute cells anew that ended in an error, a crash or at a limit.

        Raises
        ------
        InputError
            If a model cannot be sent to another process, or `out` cannot be written to.
        ResultsError
            If another process is using the folder.
        """
        path = as_folder(out)
        require_writable(path)
        files = StudyFolder(path)
        files.open_to_write()
        try:
            self._run(files, verbose, retry)
        finally:
            files.close()
        return StudyResults(path)

    def __repr__(self) -> str:
        return describe_study(self)

    @shown_safely
    def _repr_html_(self) -> str:
        return study_html(self)

    def _run(self, files: StudyFolder, verbose: bool, retry: bool) -> None:
        described = {one.name: describe_implementation(one) for one in self.implementations}
        # Drawn once, so that the key is that of the references that are explained, whatever function draws them.
        drawn = {name: replace(case, references=self._references(case)) for name, case in self.cases.items()}
        cases, plans = {}, []
        for name, case in drawn.items():
            cases[name] = describe_case(case, self._references(case), self.random_state, self.threads)
            plans += self._plan_cells(name, cases[name]["key"], described)
        files.write_settings(self._settings(cases, described, plans))
        schedule = Schedule(files, self.implementations, plans, self._run_settings(retry))
        with schedule, open_progress(len(plans), "cells", "study", show=verbose) as bar:
            bar.update(schedule.done)
            for name in schedule.start(cases):
                bar.set_postfix_str(name, refresh=False)
                parcel = self._write_parcel(name, drawn[name], cases[name], files)
                schedule.run_model(name, cases[name]["key"], parcel, bar.update)

    def _run_settings(self, retry: bool) -> RunSettings:
        return RunSettings(
            self.time_limit, self.memory_limit, self.threads, self.random_state, retry=retry, audit=self.audit
        )

    def _plan_cells(self, name: str, key: str, described: Mapping[str, dict[str, Any]]) -> list[CellPlan]:
        """Return the cells of the model `name`, whose case has that key."""
        return [
            CellPlan(name, one, dtype, digest(key, one, facts, dtype))
            for dtype in self.dtypes
            for one, facts in described.items()
            if dtype in self._dtypes_for(facts)
        ]

    def _dtypes_for(self, described: dict[str, Any]) -> tuple[str, ...]:
        """Return the dtypes in which an implementation is asked: what is not exact anyway is asked in one only."""
        if self.every_dtype or (described["complete"] and not described["approximate"]):
            return self.dtypes
        return ("float32",) if "float32" in self.dtypes else self.dtypes[:1]

    def _settings(self, cases: dict[str, Any], described: dict[str, Any], plans: list[CellPlan]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "command": command_line(sys.argv),
            "versions": {name: version(name) for name in VERSIONS},
            "machine": describe_machine(self.threads),
            "random_state": self.random_state,
            "dtypes": list(self.dtypes),
            "time_limit": self.time_limit,
            "cases": cases,
            "implementations": described,
            "cells": [one._asdict() for one in plans],
        }

    def _references(self, case: Case) -> Tensor:
        return case.draw_references(self.n_references, self.random_state).cpu()

    def _write_parcel(self, name: str, case: Case, described: dict[str, Any], files: StudyFolder) -> Path:
        """Write the case for the workers, and for whoever reads the study later; return the path of the former."""
        model, references = uncompiled(case.make_model()), self._references(case)
        if not isinstance(case.model, nn.Module) and describe_model(model) != described["model"]:
            raise InputError(
                f"the function of the case {name!r} makes another model each time: expected the same one; seed it, or "
                "give the model itself."
            )
        files.write_case(described["key"], case.X, references, case.motifs)
        path = files.work / "case.pkl"
        parcel = {
            "model": to_bytes(model, f"the model {name!r}"),
            "X": case.X,
            "references": references,
            "args": case.args,
            "target": case.target,
        }
        path.write_bytes(pickle.dumps(parcel))
        return path


def _positive(value: float, name: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise InputError(f"{name} is {value!r}: expected a positive number.")
    return float(value)
