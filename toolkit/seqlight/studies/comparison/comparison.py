"""Compare two runs of a study: what changed in the settings, and whether the contributions moved with it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError, kind_of
from seqlight.studies.comparison.contribution_difference import contribution_difference
from seqlight.studies.comparison.setting_changes import case_changes, implementation_changes, study_changes
from seqlight.studies.report.phrases import as_miss, as_share
from seqlight.studies.results import StudyResults, open_study

COLUMNS = (
    "model implementation old_version version old_dtype dtype changes old_status status old_verdict verdict "
    "old_miss miss difference allowed moved failed reasons"
).split()
# A cell in another dtype than float64 may move by this many times what rounding did to it in the old study.
ROUNDING = 3
# A miss counts as worse if it is this many times as large, for that of rounding goes up and down.
WORSE = 10
NOTICED = ("silent", "said", "warned", "raised")


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two runs of a study, cell by cell; as text, a line for each cell that moved and a verdict.

    Attributes
    ----------
    cells : pandas.DataFrame
        A row for each cell of either study: model, implementation; old_version, version, old_dtype, dtype; changes (in
        the settings, a list of str); old_status, status, old_verdict, verdict, old_miss, miss; difference (of the
        contributions, see :func:`contribution_difference`), allowed (what of it is not an alarm); moved, failed; and
        reasons (for failing, a list of str).
    fail_above : float
        The difference that is allowed in float64.
    """

    cells: pd.DataFrame
    fail_above: float

    @property
    def moved(self) -> pd.DataFrame:
        """The cells whose settings, outcome or contributions are not what they were."""
        return self.cells[self.cells["moved"]]

    @property
    def failed(self) -> bool:
        """Whether contributions differ by more than is allowed, an outcome is worse, or no cell is in both studies."""
        return bool(self.cells["failed"].any()) or not self._met

    @property
    def _met(self) -> int:
        return int((self.cells["old_status"].notna() & self.cells["status"].notna()).sum())

    def __str__(self) -> str:
        lines = [_line(row) for row in _records(self.moved)]
        return "\n".join([*lines, self._verdict()])

    __repr__ = __str__

    def _verdict(self) -> str:
        if not self._met:
            return "FAILED: the two studies have no cell in common, so nothing was compared."
        new, gone = (int(self.cells[name].isna().sum()) for name in ("old_status", "status"))
        moved = len(self.moved) - new - gone
        counts = [f"{self._met} cell{'s' * (self._met != 1)} compared", f"{moved or 'none'} moved"]
        counts += [f"{n} {what}" for n, what in ((new, "new"), (gone, "gone")) if n]
        if not self.failed:
            return f"passed: {', '.join(counts)}; no contributions differ by more than {as_share(self.fail_above)}."
        failed = int(self.cells["failed"].sum())
        return (
            f"FAILED: {', '.join(counts)}; {failed} failed, for they are gone or worse, or contributions differ by "
            f"more than {as_share(self.fail_above)}."
        )


def compare(
    old: str | os.PathLike[str] | StudyResults, new: str | os.PathLike[str] | StudyResults, fail_above: float = 1e-3
) -> Comparison:
    """Compare two runs of a study, for instance before and after an update, or on two machines.

    Cells meet by model, implementation and dtype; where that is the only difference, also in another dtype. Times and
    memory are not compared, and rounding is no alarm: where the old study has a cell in float64 as well, that in
    another dtype may move by three times what rounding did to it there, if that is more than `fail_above`.

    Parameters
    ----------
    old, new : str, path or StudyResults
        The folders of the two studies, or what :func:`open_study` returns.
    fail_above : float
        By how much contributions may differ, relative to the largest of their row or of the median row.

    Returns
    -------
    Comparison
        Its text names the cells that moved; its ``failed`` is for the exit status.

    Raises
    ------
    InputError
        If there is no study, or `fail_above` is not a number from 0 on.
    """
    if not isinstance(fail_above, int | float) or isinstance(fail_above, bool) or not fail_above >= 0:
        raise InputError(f"fail_above is {fail_above!r}: expected a number from 0 on, such as 1e-3.")
    pairing = _Pairing(_open(old, "old"), _open(new, "new"), float(fail_above))
    cells = pd.DataFrame(list(pairing.rows()), columns=COLUMNS).astype({"moved": bool, "failed": bool})
    return Comparison(cells, float(fail_above))


class _Pairing:
    """The cells of two studies, met."""

    def __init__(self, old: StudyResults, new: StudyResults, fail_above: float) -> None:
        self.old, self.new, self.fail_above = old, new, fail_above
        self.of_study = study_changes(old, new)
        self.of_case = cache(lambda model: case_changes(old, new, model))

    def rows(self) -> Iterator[dict[str, Any]]:
        for was, now in _meet(_records(self.old.cells), _records(self.new.cells)):
            if was is not None and now is not None:
                yield self._row(was, now)
            else:
                yield _alone(was, now, "it is gone" if self.new.complete else "it was not computed yet")

    def _row(self, was: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
        model, implementation = now["model"], now["implementation"]
        changes = [*self.of_case(model), *implementation_changes(self.old, self.new, implementation), *self.of_study]
        if was["dtype"] != now["dtype"]:
            changes.append(f"dtype {was['dtype']} -> {now['dtype']}")
        outcome = _facts(was, now) | {"changes": changes, "difference": math.nan, "allowed": self.fail_above}
        reasons = _worse(was, now, self._promises(implementation), self.fail_above)
        if was["status"] == now["status"] == "ok":
            outcome["difference"], outcome["allowed"], where = self._difference(was, now)
            reasons = [*([where] if where else []), *reasons]
        same = (was["status"], was["verdict"]) == (now["status"], now["verdict"])
        return outcome | {"moved": bool(changes or reasons or not same), "failed": bool(reasons), "reasons": reasons}

    def _difference(self, was: dict[str, Any], now: dict[str, Any]) -> tuple[float, float, str]:
        """Return by how much contributions differ, how much is allowed, and where, if it is more than that."""
        old, new = self._array(self.old, was), self._array(self.new, now)
        both = _alike(old, new)
        if both is None:
            return math.nan, self.fail_above, f"contributions of {old.shape} and {new.shape} cannot be compared"
        found, allowed = contribution_difference(*both), self._allowed(was, now, old)
        if found.size <= allowed:
            return found.size, allowed, ""
        where = (
            f"contributions differ by {found.share}, most in row {found.place[0]} at position "
            f"{found.place[-1]} ({found.old:.3g} -> {found.new:.3g})"
        )
        return found.size, allowed, where

    def _allowed(self, was: dict[str, Any], now: dict[str, Any], old: NDArray[Any]) -> float:
        if was["dtype"] != now["dtype"] or was["dtype"] == "float64":
            return self.fail_above
        try:
            exact = self._array(self.old, was | {"dtype": "float64"})
        except InputError:  # there is none
            return self.fail_above
        both = _alike(exact, old)
        rounding = contribution_difference(*both).size if both else 0.0
        return max(self.fail_above, ROUNDING * rounding) if math.isfinite(rounding) else self.fail_above

    def _promises(self, implementation: str) -> bool:
        """Return whether contributions of an implementation are meant to sum to the output difference."""
        return bool(self.new.settings["implementations"][implementation]["complete"])

    @staticmethod
    def _array(study: StudyResults, cell: dict[str, Any]) -> NDArray[Any]:
        return study.contributions(cell["model"], cell["implementation"], cell["dtype"]).detach().double().numpy()


def _open(study: Any, name: str) -> StudyResults:
    if isinstance(study, str | os.PathLike):
        return open_study(study)
    if isinstance(study, StudyResults):
        return study
    raise InputError(f"{name} is {kind_of(study)}: expected the folder of a study, or what open_study returns.")


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): one for name, one in row.items()} for row in frame.to_dict("records")]


def _meet(
    olds: list[dict[str, Any]], news: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Pair cells, those of the old study first and in its order; None where there is no partner."""
    exact = {(one["model"], one["implementation"], one["dtype"]): one for one in news}
    partners: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
        (one, exact.pop((one["model"], one["implementation"], one["dtype"]), None)) for one in olds
    ]
    for was, now in partners:
        if now is None:
            # Only the dtype may have changed.
            alike = [key for key in exact if key[:2] == (was["model"], was["implementation"])]
            now = exact.pop(alike[0]) if alike else None
        yield was, now
    for now in exact.values():
        yield None, now


def _facts(was: dict[str, Any] | None, now: dict[str, Any] | None) -> dict[str, Any]:
    found = {name: (now or was or {})[name] for name in ("model", "implementation")}
    for name in ("version", "dtype", "status", "verdict", "miss"):
        found[f"old_{name}"] = None if was is None else was[name]
        found[name] = None if now is None else now[name]
    return found


def _alone(was: dict[str, Any] | None, now: dict[str, Any] | None, lost: str) -> dict[str, Any]:
    """Return the row of a cell that only one study has; one that is lost fails, if there was something to lose."""
    reasons = [lost] if was is not None and was["status"] != "absent" else []
    rest = {"changes": [], "difference": math.nan, "allowed": math.nan, "moved": True}
    return _facts(was, now) | rest | {"failed": bool(reasons), "reasons": reasons}


def _worse(was: dict[str, Any], now: dict[str, Any], promises: bool, fail_above: float) -> list[str]:
    """Return in which ways the outcome of a cell is worse than it was."""
    found = []
    if was["status"] == "ok" != now["status"]:
        found.append(f"it was ok and is now {now['status']}{_because(now)}")
    elif was["status"] == now["status"] == "ok" and _rank(now) > _rank(was):
        found.append(f"it was {was['verdict']} and is now {now['verdict']}{_because(now)}")
    misses = promises and now["status"] == "ok" and now["miss"] > fail_above
    if misses and now["verdict"] == "silent" and was["verdict"] not in ("silent", ""):
        found.append(f"it misses {as_miss(now['miss'])} and no longer says so")
    elif misses and was["status"] == "ok" and now["miss"] > WORSE * was["miss"]:
        found.append(f"it misses {as_miss(now['miss'])} and missed {as_share(was['miss'])}")
    return found


def _rank(cell: dict[str, Any]) -> int:
    return NOTICED.index(cell["verdict"]) if cell["verdict"] in NOTICED else 0


def _because(cell: dict[str, Any]) -> str:
    """Return the error or the first warning of a cell, on one line, in parentheses."""
    warnings = cell.get("warnings")
    said = cell.get("error") or (warnings[0] if isinstance(warnings, list) and warnings else "")
    line = " ".join(str(said).split())
    return f" ({line[:80]}{'...' * (len(line) > 80)})" if line else ""


def _alike(old: NDArray[Any], new: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return two arrays that can be compared: as they are, or their means over references; None if there are none."""
    if old.shape == new.shape:
        return old, new
    means = [one.mean(axis=1) if one.ndim == 3 else one for one in (old, new)]
    return (means[0], means[1]) if means[0].shape == means[1].shape else None


def _line(row: dict[str, Any]) -> str:
    """Return what is said of a cell that moved."""
    is_new, is_gone = (bool(pd.isna(row[name])) for name in ("old_status", "status"))
    kind = "FAILED" if row["failed"] else "new" if is_new else "gone" if is_gone else "moved"
    version, dtype = (row[f"{'old_' * is_gone}{name}"] for name in ("version", "dtype"))
    name = f"{kind:6} {row['model']}, {row['implementation']} {'' if pd.isna(version) else version}".rstrip()
    said = [*row["changes"], *row["reasons"]]
    if kind == "moved":
        said += [f"{row[f'old_{one}']} -> {row[one]}" for one in ("status", "verdict") if row[f"old_{one}"] != row[one]]
        if row["difference"] == 0:
            said.append("the same contributions")
        elif row["difference"] > 0:
            said.append(f"contributions differ by {as_share(row['difference'])} of the largest")
    return f"{name}, {dtype}{': ' * bool(said)}{'; '.join(said)}"
