"""The result of an audit: a table of operations, and what it comes to."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from seqlight.attribution.audit.examining import Examined
from seqlight.attribution.audit.tallying import Tally

# Which share of the mean output difference is no rounding: in float64, and in anything less.
TOLERANCES = (1e-6, 1e-3)
# Longer tables are printed without what is linear.
LONGEST = 30
COLUMNS = ["operation", "module", "treatment", "calls", "lost", "note"]


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What :func:`seqlight.audit` found.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each operation in each module, in the order of first meeting. ``treatment`` is

        - "linear": nothing to do;
        - "rescale": the secant of what is elementwise;
        - "cross-maximum", "half way", "closed form": the rules of max pooling, products and normalisers;
        - "in parts": written in other operations, which have rules;
        - "integrated": no rule, integrated numerically;
        - "yours": your own rule;
        - "hidden": it takes something that depends on the input and that no gradient sees;
        - "course", "unseen": lost by no operation that was seen;
        - "refused": no attributions are possible because of it.

        ``calls`` is how often it is called, ``lost`` which share of the mean output difference it loses (the mean
        over pairs of a sequence and a reference; no number where a model is refused), ``note`` what to do.
    complete : bool
        Whether attributions add up.
    lost : float
        Which share of the mean output difference they miss.
    losses : torch.Tensor, shape (rows of `table`, pairs)
        By how much each makes contributions sum to more than the output difference.
    deltas : torch.Tensor, shape (pairs,)
        By how much contributions sum to more than the output difference: to rounding, the sum of `losses`.
    sequences : int
        How many were looked at.
    """

    table: pd.DataFrame
    complete: bool
    lost: float
    losses: Tensor
    deltas: Tensor
    sequences: int

    @classmethod
    def of(cls, examined: Sequence[Examined], sequences: int, exact: bool) -> Audit:
        """Put together what all pairs gave, in float64 if `exact`."""
        tally = Tally(examined, TOLERANCES[0 if exact else 1])
        rows, none = tally.rows, torch.zeros_like(tally.deltas)
        table = pd.DataFrame(
            [[one.operation, one.module, one.treatment, one.calls, tally.share(one.losses), one.note] for one in rows],
            columns=COLUMNS,
        )
        refused = any(one.treatment == "refused" for one in rows)
        losses = torch.stack([one.losses if len(one.losses) else none for one in rows] or [none])[: len(rows)]
        complete = not refused and not tally.loses(tally.deltas)
        return cls(table, complete, tally.share(tally.deltas), losses, tally.deltas, sequences)

    @property
    def culprits(self) -> pd.DataFrame:
        """The rows of `table` that lose something, or for which the model is refused; the worst first."""
        found = self.table[self.table["note"] != ""]
        return found.sort_values("lost", ascending=False, na_position="first", kind="stable")

    def __str__(self) -> str:
        shown, verdict = self._shown(), [textwrap.fill(one, 120, subsequent_indent="    ") for one in self._verdict()]
        for column in ("operation", "module", "treatment"):
            width = max(map(len, [column, *shown[column]]))
            shown[column] = shown[column].str.ljust(width)
            shown = shown.rename(columns={column: column.ljust(width)})
        return "\n".join([shown.to_string(index=False), "", *verdict] if len(shown) else verdict)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        verdict = "".join(f"<p>{html.escape(one)}</p>" for one in self._verdict())
        return str(self._shown().to_html(index=False, border=0)) + verdict

    def _shown(self) -> pd.DataFrame:
        table = self.table
        if len(table) > LONGEST:
            table = table[(table["treatment"] != "linear") | (table["note"] != "")]
        lost = [_percent(lost, bool(note)) for lost, note in zip(table["lost"], table["note"], strict=True)]
        return table.drop(columns="note").assign(lost=lost)

    def _verdict(self) -> list[str]:
        left_out = len(self.table) - len(self._shown())
        lines = [f"Not shown: {left_out} rows of linear operations, which lose nothing."] if left_out else []
        return [*lines, self._summary(), *map(_accusation, *(self.culprits[one] for one in COLUMNS if one != "calls"))]

    def _summary(self) -> str:
        pairs = f"in {len(self.deltas)} pairs of {self.sequences} sequences with references"
        if (self.table["treatment"] == "refused").any():
            return "Refused: this model has no attributions as it is."
        if not self.complete:
            return f"Not complete: attributions miss {self.lost:.2%} of the mean output difference {pairs}."
        found = f"Complete: attributions miss {self.lost:.0e} of the mean output difference {pairs}."
        return found + (" What single operations lose cancels." if len(self.culprits) else "")


def _accusation(operation: str, module: str, treatment: str, lost: float, note: str) -> str:
    where = f" in {module}" if module else ""
    return f"`{operation}`{where} {'' if treatment == 'refused' else f'loses {_percent(lost, True)}'}: {note}".replace(
        " :", ":"
    )


def _percent(lost: float, counts: bool) -> str:
    if math.isnan(lost):
        return "-"
    return f"{lost:.2%}" if counts else "0"
