"""Judgements of the cells of a study: which implementations are complete on a model, and which of them agree.

Only what is stored is read: the numbers of the cells, the outputs of the model, and the contributions of those
implementations that are complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
from torch import Tensor

from seqlight.attribution.audit.result import DEFAULT_TOLERANCE, TOLERANCES
from seqlight.errors import InputError
from seqlight.studies.report.phrases import as_opening, shorten

if TYPE_CHECKING:
    from seqlight.studies.results import StudyResults

# By which miss an implementation counts as complete is decided as in `seqlight.audit`: 1e-6 in float64, 1e-3 in
# float32, 5e-2 in bfloat16. Rounding of complete implementations reaches some 1e-14, 1e-5 and 2e-2, operations that
# are integrated numerically some 1e-7 in float64, while the least fault of an implementation known to us, a normalising
# constant of softmax in shap 0.51, misses 8e-2. Outputs that hardly depend on the sequence round worse: up to this many
# units in the last place of the output.
ROUNDING_UNITS = 16
# Integrated gradients are a sum of finitely many steps; Sundararajan, Taly and Yan (2017, section 5) take as many as it
# needs "to approximate the integral (within 5%)".
APPROXIMATE = 0.05
USED_DTYPE = "float32"

Standing = Literal[
    "complete",
    "approximate",
    "incomplete",
    "no promise",
    "constant",
    "not finite",
    "unchecked",
    "refused",
    "error",
    "crashed",
    "time limit",
    "memory limit",
    "absent",
]


@dataclass(frozen=True)
class Judgement:
    """What is to be thought of one cell.

    Attributes
    ----------
    name, title, package, version : str
        The implementation; `version` is "" where it is not installed.
    standing : str
        "complete"; "approximate", a sum of steps that misses little; "incomplete"; "no promise" of completeness;
        "constant", if the output does not depend on the sequence; "not finite"; "unchecked", if the model itself could
        not be called; or the status of a cell without contributions.
    cell : pandas.Series
        The row of the cells.
    tolerance : float
        Up to which miss it counts as complete.
    is_integral : bool
        Whether it is a sum of steps by design: another method than DeepLIFT, and approximate.
    """

    name: str
    title: str
    package: str
    version: str
    standing: Standing
    cell: pd.Series[Any]
    tolerance: float
    is_integral: bool = False

    @property
    def is_silent(self) -> bool:
        """Whether a user would have noticed nothing."""
        return self.cell["verdict"] in ("", "silent")

    @property
    def warning(self) -> str:
        """The one of its warnings that says most in words, in a line; "" if it did not warn."""
        return max(map(shorten, self.cell["warnings"]), key=len, default="")

    @property
    def dtype(self) -> str:
        """What it was computed in."""
        return str(self.cell["dtype"])

    @property
    def label(self) -> str:
        """Its title with the version of its package."""
        if not self.version:
            return self.title
        return f"{self.title} {self.version}" if self.title == self.package else f"{self.title} ({self.release})"

    @property
    def opening(self) -> str:
        """Its label at the beginning of a sentence."""
        return as_opening(self.label, self.package)

    @property
    def release(self) -> str:
        """Its package with the version."""
        return f"{self.package} {self.version}".strip()


@dataclass(frozen=True)
class ModelJudgement:
    """What is to be thought of all cells of one model.

    Attributes
    ----------
    model : str
    dtype : str
        What the judgement is of: the first dtype of the study in which there are contributions.
    cells : list of Judgement
        In that dtype, in the order of implementations; of what was not asked in it, in another.
    others : dict of str to list of Judgement
        In other dtypes.
    groups : list of list of Judgement
        The complete ones; within a group they agree. The largest group first.
    differences : dict of str to float
        The largest difference of each complete one from the first of its group, as a share of the largest contribution.
    mixed_rows : float
        By how much an output changes if the sequence is alone, as a share of the mean output difference.
    failure : str
        Why the model itself could not be called; "" if it could.
    """

    model: str
    dtype: str
    cells: list[Judgement]
    others: dict[str, list[Judgement]]
    groups: list[list[Judgement]]
    differences: dict[str, float]
    mixed_rows: float = 0.0
    failure: str = ""

    def of(self, *standings: Standing) -> list[Judgement]:
        """Return those of these standings."""
        return [one for one in self.cells if one.standing in standings]

    def timed(self, name: str) -> Judgement:
        """Return the cell of an implementation whose time counts: that in float32, if it was asked for."""
        of_name = [one for one in [*self.others.get(USED_DTYPE, []), *self.cells] if one.name == name]
        return next((one for one in of_name if one.cell["status"] == "ok"), of_name[-1])


def judge(results: StudyResults, model: str) -> ModelJudgement:
    """Judge all cells of a model."""
    rows = results.cells[results.cells["model"] == model]
    dtypes = [one for one in results.settings["dtypes"] if (rows["dtype"] == one).any()]
    judged = {dtype: _judge_dtype(results, model, dtype, rows[rows["dtype"] == dtype]) for dtype in dtypes}
    first = next((one for one in dtypes if (rows[rows["dtype"] == one]["status"] == "ok").any()), (dtypes or [""])[0])
    cells = judged.pop(first, [])
    # What is not exact by design is asked in one dtype, which may be another.
    asked = {one.name for one in cells}
    elsewhere = [one for others in judged.values() for one in others if one.name not in asked]
    cells = sorted([*cells, *elsewhere], key=lambda one: results.implementations.index(one.name))
    judged = {dtype: [one for one in others if one.name in asked] for dtype, others in judged.items()}
    groups, differences = _group(results, model, [one for one in cells if one.standing == "complete"])
    has_failed = bool(dtypes) and not (rows["status"] == "ok").any()
    failure = results.failure(model, dtypes[-1]) if has_failed else ""
    return ModelJudgement(model, first, cells, judged, groups, differences, results.mixed_rows(model), failure)


def _judge_dtype(results: StudyResults, model: str, dtype: str, rows: pd.DataFrame) -> list[Judgement]:
    tolerance, is_constant = _tolerance(results, model, dtype)
    by_name = {row["implementation"]: row for _, row in rows.iterrows()}
    judged = []
    for name in results.implementations:
        if name not in by_name:
            continue
        row, about = by_name[name], results.settings["implementations"][name]
        # What is approximate by design is not complete for being as coarse as its dtype.
        passes = min(tolerance, TOLERANCES[torch.float64]) if about.get("approximate", False) else tolerance
        standing: Standing = row["status"]
        if row["status"] == "ok":
            is_finite = row["miss"] == row["miss"] or _is_finite(results.contributions(model, name, dtype))
            standing = _standing(row, about, passes, is_constant) if is_finite else "not finite"
        version = row["version"] if isinstance(row["version"], str) else ""
        names = (name, about["title"], about["package"], version)
        judged.append(Judgement(*names, standing, row, passes, about.get("approximate", False)))
    return judged


def _standing(row: pd.Series[Any], about: dict[str, Any], tolerance: float, is_constant: bool) -> Standing:
    if is_constant:
        return "constant"
    if not about["complete"]:
        return "no promise"
    if row["miss"] != row["miss"]:
        return "unchecked"
    if row["miss"] <= tolerance:
        return "complete"
    return "approximate" if about.get("approximate", False) and row["miss"] <= APPROXIMATE else "incomplete"


def _tolerance(results: StudyResults, model: str, dtype: str) -> tuple[float, bool]:
    """Return by which miss a cell counts as complete, and whether the output is constant."""
    precision = getattr(torch, dtype)
    tolerance = TOLERANCES.get(precision, DEFAULT_TOLERANCE)
    try:
        difference, size = measure_outputs(results, model, dtype)
    except InputError:
        # The model does not run in this dtype.
        return tolerance, False
    unit = torch.finfo(precision).eps * size
    if difference <= unit:
        return tolerance, True
    return max(tolerance, ROUNDING_UNITS * unit / difference), False


def measure_outputs(results: StudyResults, model: str, dtype: str) -> tuple[float, float]:
    """Return the mean magnitude of the output differences, and that of the outputs themselves.

    Raises
    ------
    InputError
        If the model does not run in this dtype.
    """
    outputs, reference_outputs = (one.double() for one in results.outputs(model, dtype))
    size = torch.cat([outputs.flatten(), reference_outputs.flatten()]).abs().mean()
    return float((outputs[:, None] - reference_outputs).abs().mean()), float(size)


def _is_finite(contributions: Tensor) -> bool:
    return bool(contributions.isfinite().all())


def _group(
    results: StudyResults, model: str, complete: Sequence[Judgement]
) -> tuple[list[list[Judgement]], dict[str, float]]:
    """Return groups of implementations that agree, and how far each is from the first of its group."""
    groups: list[list[Judgement]] = []
    arrays: list[Tensor] = []
    differences = {}
    for one in complete:
        mine = mean_contributions(results.contributions(model, one.name, one.dtype))
        for group, first in zip(groups, arrays, strict=True):
            difference = largest_difference(mine, first)
            if difference <= one.tolerance:
                group.append(one)
                differences[one.name] = difference
                break
        else:
            groups.append([one])
            arrays.append(mine)
            differences[one.name] = 0.0
    # Integrated gradients alone come after a group of DeepLIFT of the same size.
    return sorted(groups, key=lambda group: (-len(group), group[0].is_integral)), differences


def mean_contributions(contributions: Tensor) -> Tensor:
    """Return contributions averaged over references, in float64, shape (rows, positions)."""
    contributions = contributions.double()
    return contributions.mean(dim=1) if contributions.ndim == 3 else contributions


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of two arrays, as a share of the largest magnitude; infinity if shapes differ.

    Examples
    --------
    >>> import torch
    >>> from seqlight.studies.report.judgement import largest_difference
    >>> largest_difference(torch.tensor([[1.0, 4.0]]), torch.tensor([[1.0, 3.0]]))
    0.25
    """
    if one.shape != other.shape:
        return float("inf")
    largest = float(torch.maximum(one.abs(), other.abs()).max()) if one.numel() else 0.0
    return float((one - other).abs().max()) / largest if largest else 0.0
