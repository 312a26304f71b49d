"""The results of a study, read from its folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from torch import Tensor

from seqlight.errors import InputError
from seqlight.files.folder import as_folder
from seqlight.notebook.markup import shown_safely
from seqlight.prediction.process_settings import ONE_THREAD
from seqlight.studies.agreement import likeness, miss, motif_agreement
from seqlight.studies.cell import COLUMNS
from seqlight.studies.folder import StudyFolder
from seqlight.studies.implementations.implementation import Suspect
from seqlight.studies.notebook_tables import results_html

NUMBERS = "miss miss_max r rank_r sign_flips top_overlap motif_share motif_recall".split()


class StoredCase(NamedTuple):
    """The data of a case.

    Attributes
    ----------
    X : torch.Tensor, shape (rows, letters, positions)
    references : torch.Tensor, shape (rows, references, letters, positions)
    motifs : torch.Tensor of bool, shape (rows, positions), or None
    """

    X: Tensor
    references: Tensor
    motifs: Tensor | None


class StoredAudit(NamedTuple):
    """What :func:`seqlight.audit` found.

    Attributes
    ----------
    text : str
        As it is printed.
    table : pandas.DataFrame
        Its operations.
    complete : bool
    lost : float or None
    """

    text: str
    table: pd.DataFrame
    complete: bool
    lost: float | None


class StudyResults:
    """What a study found; nothing is computed that needs a model.

    Parameters
    ----------
    folder : path
        The folder that :meth:`Study.run` wrote.

    Attributes
    ----------
    folder : pathlib.Path
    settings : dict
        What was asked, with versions, the machine, and the command that runs it again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = StudyFolder(folder)
        self.settings = self._files.settings()

    @property
    def models(self) -> list[str]:
        """The names of the models."""
        return list(self.settings["cases"])

    @property
    def implementations(self) -> list[str]:
        """The names of the implementations; the others are compared with the first."""
        return list(self.settings["implementations"])

    @property
    def dtypes(self) -> list[str]:
        """The dtypes, such as "float64"."""
        return list(self.settings["dtypes"])

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row for each model, implementation and dtype; :data:`seqlight.studies.cell.COLUMNS` are the columns."""
        with ONE_THREAD.apply():
            rows = [self._row(*where) for where in self._keys if self._record(*where) is not None]
        return pd.DataFrame(rows, columns=COLUMNS)

    @property
    def complete(self) -> bool:
        """Whether every cell is there; not so while a study runs, or after it was interrupted."""
        return all(self._files.has("cells", key) for key in self._keys.values())

    def contributions(self, model: str, implementation: str, dtype: str | None = None) -> Tensor:
        """Return the contributions of a cell, shape (rows, references, positions) or (rows, positions).

        Parameters
        ----------
        model, implementation : str
        dtype : str, optional
            By default the first in which there is such a cell.

        Raises
        ------
        InputError
            If there is no such cell, or it has no contributions.
        """
        if dtype is None:
            asked = [one for one in self.dtypes if (model, implementation, one) in self._keys]
            dtype = (asked or self.dtypes)[0]
        found = self._contributions(model, implementation, dtype)
        if found is None:
            record = self._record(model, implementation, dtype)
            status = "was not computed" if record is None else f"has the status {record['status']!r}"
            raise InputError(
                f"the cell of {implementation} and {model!r} {status}: expected one that is 'ok'; .cells says more."
            )
        return found

    def printed(self, model: str, implementation: str, dtype: str | None = None) -> str:
        """Return the beginning of what an implementation printed; "" if it was quiet, or there is no such cell yet."""
        record = self._record(model, implementation, dtype or self.dtypes[0])
        return str((record or {}).get("printed", ""))

    def outputs(self, model: str, dtype: str | None = None) -> tuple[Tensor, Tensor]:
        """Return the outputs of the sequences, shape (rows,), and of their references, shape (rows, references).

        They are computed by calls of the model, not by an implementation.

        Raises
        ------
        InputError
            If there is no such model, or it cannot be called in this dtype.
        """
        found = self._outputs(model, dtype or self.dtypes[0])
        if found is None:
            raise InputError(f"{model!r} has no outputs in {dtype or self.dtypes[0]}: {self.failure(model, dtype)}.")
        return found

    def failure(self, model: str, dtype: str | None = None) -> str:
        """Return why a model cannot be called in a dtype; "" if it can."""
        record = self._files.read("outputs", self._outputs_name(model, dtype or self.dtypes[0]))
        return "it was not computed" if record is None else str(record.get("failed", ""))

    def mixed_rows(self, model: str) -> float:
        """Return by how much the first output changes if that sequence is alone, as a share of the mean difference."""
        record = self._files.read("outputs", self._outputs_name(model, self.dtypes[0])) or {}
        return float(record.get("mixed_rows", 0.0))

    def case(self, model: str) -> StoredCase:
        """Return the sequences, the references and, where they are known, the motifs of a case."""
        found = self._files.arrays("cases", f"{self._case(model)['key']}.npz")
        return StoredCase(found["X"], found["references"], found.get("motifs"))

    def audit(self, model: str) -> StoredAudit | None:
        """Return what the audit of a model says; None if there was none."""
        found = self._files.read("audits", self._case(model)["key"])
        if found is None or "failed" in found:
            return None
        return StoredAudit(found["text"], pd.DataFrame(found["table"]), found["complete"], found["lost"])

    def suspects(self, model: str, implementation: str) -> list[Suspect]:
        """Return the operations that an implementation is known to treat wrongly, if it misses on this model."""
        found = self._files.read("suspects", f"{self._case(model)['key']}-{implementation}") or {}
        return [Suspect(**one) for one in found.get("suspects", [])]

    def explain(self, model: str | None = None) -> str:
        """Return, in sentences, which implementations can be believed on a model, and why the others cannot."""
        from seqlight.studies.report.sentences import explain

        if model is None and len(self.models) > 1:
            return "\n\n".join(f"{one}\n{explain(self, one)}" for one in self.models)
        return explain(self, self.models[0] if model is None else model)

    def page(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write an HTML page, ``page.html`` in the folder by default, and return its path."""
        from seqlight.studies.report.page import write_study_page

        return write_study_page(self, path)

    def __repr__(self) -> str:
        # From the records alone: the numbers of all cells would take long.
        found = [one["status"] for one in self._records().values() if one is not None]
        counts = ", ".join(f"{n} {status}" for status, n in Counter(found).most_common())
        return f"StudyResults({str(self.folder)!r}: {len(self.models)} models, {len(found)} cells: {counts})"

    @shown_safely
    def _repr_html_(self) -> str:
        return results_html(self, self._records())

    def _records(self) -> dict[tuple[str, str, str], dict[str, Any] | None]:
        return {which: self._record(*which) for which in self._keys}

    @cached_property
    def _keys(self) -> dict[tuple[str, str, str], str]:
        return {(one["model"], one["implementation"], one["dtype"]): one["key"] for one in self.settings["cells"]}

    def _record(self, model: str, implementation: str, dtype: str) -> dict[str, Any] | None:
        key = self._keys.get((model, implementation, dtype))
        if key is None:
            raise InputError(
                f"there is no cell of {model!r}, {implementation!r} and {dtype}: expected one of "
                f"{_some(self.models)}; {_some(self.implementations)}; {_some(self.dtypes)}."
            )
        return self._files.read("cells", key)

    def _case(self, model: str) -> dict[str, Any]:
        if model not in self.settings["cases"]:
            raise InputError(f"model is {model!r}: expected one of {_some(self.models)}.")
        found: dict[str, Any] = self.settings["cases"][model]
        return found

    def _outputs_name(self, model: str, dtype: str) -> str:
        return f"{self._case(model)['key']}-{dtype}"

    def _outputs(self, model: str, dtype: str) -> tuple[Tensor, Tensor] | None:
        name = self._outputs_name(model, dtype)
        if "mixed_rows" not in (self._files.read("outputs", name) or {}):
            return None
        found = self._files.arrays("outputs", f"{name}.npz")
        return found["outputs"], found["reference_outputs"]

    def _contributions(self, model: str, implementation: str, dtype: str) -> Tensor | None:
        record = self._record(model, implementation, dtype)
        if record is None or record["status"] != "ok":
            return None
        return self._files.arrays("cells", f"{self._keys[model, implementation, dtype]}.npy")[""]

    def _row(self, model: str, implementation: str, dtype: str) -> dict[str, Any]:
        record = self._record(model, implementation, dtype)
        # The record may be that of an equal model, under another name.
        which = {"model": model, "implementation": implementation, "dtype": dtype}
        numbers = dict.fromkeys(NUMBERS, float("nan")) | self._numbers(model, implementation, dtype)
        return {**(record or {}), **which, **numbers}

    def _numbers(self, model: str, implementation: str, dtype: str) -> dict[str, float]:
        """Return what is computed from the arrays of a cell."""
        found, outputs = self._contributions(model, implementation, dtype), self._outputs(model, dtype)
        if found is None:
            return {}
        numbers: dict[str, float] = {}
        if outputs is not None:
            numbers["miss"], numbers["miss_max"] = miss(found, *outputs)
        where = (model, self.implementations[0], dtype)
        first = self._contributions(*where) if where in self._keys else None
        if first is not None:
            numbers |= likeness(found, first)
        if self._case(model)["motifs"]:
            motifs = self.case(model).motifs
            assert motifs is not None
            numbers |= motif_agreement(found, motifs)
        return numbers


def open_study(folder: str | os.PathLike[str]) -> StudyResults:
    """Open the results of a study; nothing is computed.

    Parameters
    ----------
    folder : str or path
        The folder that :meth:`Study.run` or ``seqlight study`` wrote.

    Raises
    ------
    ResultsError
        If it is not the folder of a study.
    """
    return StudyResults(as_folder(folder, "folder"))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
