"""A cell of a study: what one implementation made of one case in one dtype."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["ok", "refused", "error", "crashed", "time limit", "memory limit", "absent"]
Verdict = Literal["silent", "said", "warned", "raised", ""]


@dataclass(frozen=True)
class Outcome:
    """What a worker, or the loss of it, says about a cell; without the numbers that are computed from its array.

    Attributes
    ----------
    status : str
        "ok"; "refused", if the implementation declined the model on purpose; "error"; "crashed", if its process ended;
        "time limit", "memory limit"; or "absent", if its package is not installed.
    verdict : str
        What a user would have noticed: "silent"; "said", if it printed something; "warned"; "raised"; "" if it did not
        come to that.
    seconds_first, seconds : float
        Of the first call and of the second one; NaN if there was none.
    peak_mib : float
        How much memory its process took at most beyond what it held before, in MiB.
    warnings : list of str
        Its warnings, "Class: message", without those that come with every call.
    error : str
        "Class: message" of its error, or how its process ended.
    printed : str
        The beginning of what it printed.
    changed_state : list of str
        What it left changed: "hooks", "random state", "gradients", ...
    """

    status: Status
    verdict: Verdict = ""
    seconds_first: float = float("nan")
    seconds: float = float("nan")
    peak_mib: float = float("nan")
    warnings: list[str] = field(default_factory=list)
    error: str = ""
    printed: str = ""
    changed_state: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


# The columns of `StudyResults.cells`, in their order. Numbers are NaN where there are no contributions.
COLUMNS = (
    "model implementation version dtype status verdict "
    # |sum of contributions - output difference| of the pairs, mean and largest, over their mean |output difference|.
    "miss miss_max "
    # With the contributions of the first implementation of the study, over the positions of each pair, then the mean:
    # Pearson's and Spearman's correlation, the share of positions (by magnitude) with the other sign, and the share of
    # the ten per cent largest positions in common.
    "r rank_r sign_flips top_overlap "
    # Where motifs are known: the share of the magnitude inside them, and the share of their positions among the
    # positions with the largest values.
    "motif_share motif_recall "
    "seconds_first seconds peak_mib warnings error changed_state key"
).split()
