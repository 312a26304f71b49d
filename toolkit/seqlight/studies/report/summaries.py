"""What came of cells in a few words, and how often: of one cell, of groups of models, of an implementation on all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from seqlight.studies.report.judgement import Judgement, ModelJudgement, Standing, judge
from seqlight.studies.report.phrases import as_seconds, as_share

if TYPE_CHECKING:
    from seqlight.report.blocks import Tone
    from seqlight.studies.results import StudyResults

OUTCOMES: dict[Standing, str] = {
    "complete": "complete",
    "no promise": "another question",
    "constant": "nothing to explain",
    "unchecked": "could not be checked",
    "refused": "refused the model",
    "error": "an error",
    "crashed": "crashed",
    "time limit": "out of time",
    "memory limit": "out of memory",
    "absent": "not installed",
}
SAYS = {"warned": "and warns", "said": "and prints something", "raised": "and raises"}


def describe_outcome(one: Judgement) -> str:
    """Return in a few words what came of a cell: "misses 40 %, silently"."""
    if one.standing in OUTCOMES:
        return OUTCOMES[one.standing]
    says = "silently" if one.is_silent else SAYS[one.cell["verdict"]]
    if one.standing == "not finite":
        return f"NaN, {says}"
    if one.standing == "approximate":
        return "nearly complete"
    return f"misses {as_share(one.cell['miss'])}, {says}"


def find_tone(one: Judgement) -> Tone:
    """Return whether the outcome of a cell is good or bad news."""
    if one.standing == "complete":
        return "good"
    if one.standing in ("incomplete", "not finite"):
        return "bad" if one.is_silent else "fair"
    return "plain"


def judge_all(results: StudyResults) -> list[ModelJudgement]:
    """Judge all models of a study, in order."""
    return [judge(results, model) for model in results.models]


def group_judgements(judgements: Sequence[ModelJudgement]) -> dict[str, list[ModelJudgement]]:
    """Return the models by the group in their names, "group: detail"."""
    found: dict[str, list[ModelJudgement]] = {}
    for one in judgements:
        found.setdefault(one.model.partition(": ")[0], []).append(one)
    return found


def are_grouped(judgements: Sequence[ModelJudgement]) -> bool:
    """Return whether most models belong to groups of several, by their names."""
    return len(group_judgements(judgements)) * 2 <= len(judgements) and any(": " in one.model for one in judgements)


def find_titles(judgements: Sequence[ModelJudgement]) -> dict[str, str]:
    """Return the title of each implementation, by name."""
    return {one.name: one.title for model in judgements for one in model.cells}


def count_outcomes(judgements: Sequence[ModelJudgement]) -> pd.DataFrame:
    """Return how often each implementation is complete, wrong and silent, wrong and says so, and so on.

    Returns
    -------
    pandas.DataFrame
        A row for each implementation; all columns are texts.
    """
    rows = []
    for name, title in find_titles(judgements).items():
        having = [model for model in judgements if any(one.name == name for one in model.cells)]
        cells = [one for model in having for one in model.cells if one.name == name]
        wrong = [one for one in cells if one.standing in ("incomplete", "not finite")]
        counts = {
            "complete": sum(one.standing == "complete" for one in cells),
            "nearly complete": sum(one.standing == "approximate" for one in cells),
            "wrong and silent": sum(one.is_silent for one in wrong),
            "wrong, and says so": sum(not one.is_silent for one in wrong),
            "refused": sum(one.standing == "refused" for one in cells),
            "no contributions": sum(one.cell["status"] not in ("ok", "refused") for one in cells),
            "other question": sum(one.standing in ("no promise", "constant", "unchecked") for one in cells),
        }
        seconds = float(pd.Series([model.timed(name).cell["seconds"] for model in having], dtype=float).median())
        rows.append(
            {
                "implementation": title,
                "models": str(len(cells)),
                **{key: str(n) if n else "" for key, n in counts.items()},
                "median time of a call": as_seconds(seconds),
            }
        )
    return pd.DataFrame(rows)
