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

from seqlight.attribution.audit.pairs import Examined
from seqlight.attribution.audit.tally import Tally

# Which share of the mean output difference is rounding, even where it comes to less by the digits of single numbers.
TOLERANCES = {torch.float64: 1e-6, torch.complex128: 1e-6, torch.float16: 1e-2, torch.bfloat16: 5e-2}
OTHERWISE = 1e-3
# Treatments of what has no attributions.
WITHOUT = ("refused", "not finite")
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
        - "refused": no attributions are possible because of it;
        - "not finite": what comes out of it, or goes back through it, is NaN or infinite.

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
    dtype : torch.dtype
        The coarsest that was computed in, by whose digits it is judged what is rounding.
    remark : str
        Why that is not the one that was asked for; empty if it is.
    """

    table: pd.DataFrame
    complete: bool
    lost: float
    losses: Tensor
    deltas: Tensor
    sequences: int
    dtype: torch.dtype = torch.float64
    remark: str = ""
    _constant: bool = False

    @classmethod
    def of(cls, examined: Sequence[Examined], sequences: int, remark: str = "") -> Audit:
        """Put together what all pairs gave."""
        dtype = max((one.dtype for one in examined), key=lambda one: torch.finfo(one).eps, default=torch.float64)
        tally = Tally(examined, TOLERANCES.get(dtype, OTHERWISE))
        rows, none = tally.rows, torch.zeros_like(tally.deltas)
        table = pd.DataFrame(
            [[one.operation, one.module, one.treatment, one.calls, tally.share(one.losses), one.note] for one in rows],
            columns=COLUMNS,
        )
        refused = any(one.treatment in WITHOUT for one in rows)
        losses = torch.stack([one.losses if len(one.losses) else none for one in rows] or [none])[: len(rows)]
        complete = not refused and not tally.loses(tally.deltas, tally.rounding)
        lost = tally.share(tally.deltas)
        return cls(table, complete, lost, losses, tally.deltas, sequences, dtype, remark, tally.constant)

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
        which = (
            "1 row of a linear operation, which loses" if left_out == 1 else f"{left_out} rows of linear operations, "
        )
        which += "" if left_out == 1 else "which lose"
        lines = [f"Not shown: {which} nothing."] if left_out else []
        found = self.culprits
        broken = found[(found["treatment"] == "not finite") & (found["operation"] == "the output")]["note"]
        if len(broken):
            # All else follows from it.
            return [*lines, *(f"{note[0].upper()}{note[1:]}" for note in broken), *self._remarks()]
        accusations = map(_accusation, *(found[one] for one in COLUMNS if one != "calls"))
        return [*lines, self._summary(), *self._remarks(), *accusations]

    def _remarks(self) -> list[str]:
        return [f"Computed {self.remark}."] if self.remark else []

    def _summary(self) -> str:
        pairs = f"in {_count(len(self.deltas), 'pair')} of {_count(self.sequences, 'sequence')} with references"
        if (self.table["treatment"] == "refused").any():
            return "Refused: this model has no attributions as it is."
        if (self.table["treatment"] == "not finite").any():
            return "Not finite: this model has no attributions that are numbers."
        if not self.complete:
            return f"Not complete: attributions miss {self.lost:.2%} of the mean output difference {pairs}."
        if self._constant:
            return f"Complete, but the output does not depend on the sequence: it is always the same {pairs}."
        missed = f"{self.lost:.0e}" if self.lost else "nothing"
        digits = f", which is rounding in {str(self.dtype).removeprefix('torch.')}"
        digits = digits if self.lost and self.dtype != torch.float64 else ""
        found = f"Complete: attributions miss {missed} of the mean output difference {pairs}{digits}."
        return found + (" What single operations lose cancels." if len(self.culprits) else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _accusation(operation: str, module: str, treatment: str, lost: float, note: str) -> str:
    name = operation if operation.startswith("the ") else f"`{operation}`"
    where = f"{name} in {module}" if module else name
    if treatment not in WITHOUT:
        return f"{where} loses {_percent(lost, True)}: {note}"
    # Many messages begin with the operation themselves.
    note = note if note.endswith(".") else f"{note}."
    own = next((one for one in (f"{operation} ", "dropout ") if note.startswith(one)), None)
    return f"{where} {note.removeprefix(own)}" if own else f"{where}: {note}"


def _percent(lost: float, counts: bool) -> str:
    if math.isnan(lost):
        return "-"
    return f"{lost:.2%}" if counts else "0"
