"""The result of an audit: a table of operations, and a summary in words."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
import torch
from torch import Tensor

from seqlight.attribution.audit.pair_auditor import AuditedPair
from seqlight.attribution.audit.tally import LossTally
from seqlight.notebook.markup import shown_safely

# The share of the mean output difference that counts as rounding, even if the errors of single numbers predict less.
TOLERANCES = {torch.float64: 1e-6, torch.complex128: 1e-6, torch.float16: 1e-2, torch.bfloat16: 5e-2}
DEFAULT_TOLERANCE = 1e-3
# Treatments of operations that leave a model without attributions.
NO_ATTRIBUTIONS = ("refused", "not finite")
# Longer tables are printed without linear operations.
MAX_ROWS = 30
# A notebook shows the first and the last rows of tables that are longer still.
MAX_HTML_ROWS = 60
COLUMNS = ["operation", "module", "treatment", "calls", "lost", "note"]


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What :func:`seqlight.audit` found.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each operation in each module, in the order of their first calls. ``treatment`` is

        - "linear": linear in what depends on the input, so that no rule is needed;
        - "rescale": elementwise, explained by its secant;
        - "cross-maximum", "half way", "closed form": the rules of max pooling, products and normalisations;
        - "in parts": composed of other operations, which have rules;
        - "integrated": without a rule, integrated numerically;
        - "yours": explained by your own rule;
        - "hidden": takes something that depends on the input in a way that no gradient sees;
        - "course", "unseen": lost by the control flow of the model, or by no operation that was observed;
        - "refused": makes attributions impossible;
        - "not finite": its result, or the gradient that goes back through it, is NaN or infinite.

        ``calls`` is how often it is called, ``lost`` the share of the mean output difference that it loses (the mean
        over pairs of a sequence and a reference; NaN if the model is refused), and ``note`` what to do about it.
    complete : bool
        Whether attributions sum to the output difference.
    lost : float
        The share of the mean output difference that they miss.
    losses : torch.Tensor, shape (rows of `table`, pairs)
        By how much each operation raises the sum of the contributions above the output difference.
    deltas : torch.Tensor, shape (pairs,)
        Sums of contributions minus output differences: up to rounding, the sum of `losses`.
    sequences : int
        How many sequences were explained.
    dtype : torch.dtype
        The coarsest dtype that was computed in; it decides what counts as rounding.
    remark : str
        Why this is not the dtype that was asked for; empty if it is.
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
    _typed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_pairs(cls, examined: Sequence[AuditedPair], sequences: int, remark: str = "") -> Audit:
        """Combine the results of all pairs."""
        dtype = max((one.dtype for one in examined), key=lambda one: torch.finfo(one).eps, default=torch.float64)
        tally = LossTally(examined, TOLERANCES.get(dtype, DEFAULT_TOLERANCE))
        rows, none = tally.rows, torch.zeros_like(tally.deltas)
        table = pd.DataFrame(
            [[one.operation, one.module, one.treatment, one.calls, tally.share(one.losses), one.note] for one in rows],
            columns=COLUMNS,
        )
        refused = any(one.treatment in NO_ATTRIBUTIONS for one in rows)
        losses = torch.stack([one.losses if len(one.losses) else none for one in rows] or [none])[: len(rows)]
        complete = not refused and not tally.exceeds_rounding(tally.deltas, tally.rounding)
        lost = tally.share(tally.deltas)
        typed = {one.note: one.typed for one in examined if one.typed}
        return cls(table, complete, lost, losses, tally.deltas, sequences, dtype, remark, tally.constant, typed)

    @property
    def typed(self) -> Audit:
        """The same in the words of the command line, where what to do differs from Python."""
        notes = [self._typed.get(one, one) for one in self.table["note"]]
        return replace(self, table=self.table.assign(note=notes))

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

    @shown_safely
    def _repr_html_(self) -> str:
        verdict = "".join(f"<p>{html.escape(one)}</p>" for one in self._verdict())
        return str(self._shown().to_html(index=False, border=0, max_rows=MAX_HTML_ROWS)) + verdict

    def _shown(self) -> pd.DataFrame:
        """Return the rows and columns to print."""
        table = self.table
        if len(table) > MAX_ROWS:
            table = table[(table["treatment"] != "linear") | (table["note"] != "")]
        lost = [_percent(lost, bool(note)) for lost, note in zip(table["lost"], table["note"], strict=True)]
        return table.drop(columns="note").assign(lost=lost)

    def _verdict(self) -> list[str]:
        """Return what to print below the table, a paragraph each."""
        left_out = len(self.table) - len(self._shown())
        rows = (
            "1 row of a linear operation, which loses"
            if left_out == 1
            else f"{left_out} rows of linear operations, which lose"
        )
        lines = [f"Not shown: {rows} nothing."] if left_out else []
        found = self.culprits
        not_finite = found[(found["treatment"] == "not finite") & (found["operation"] == "the output")]["note"]
        if len(not_finite):
            # Everything else follows from it.
            return [*lines, *(f"{note[0].upper()}{note[1:]}" for note in not_finite), *self._remarks()]
        culprits = map(_describe_culprit, *(found[one] for one in COLUMNS if one != "calls"))
        return [*lines, self._summary(), *self._remarks(), *culprits]

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
        return found + (" What single operations lose cancels out." if len(self.culprits) else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _describe_culprit(operation: str, module: str, treatment: str, lost: float, note: str) -> str:
    """Return what an operation loses, and what to do about it."""
    name = operation if operation.startswith("the ") else f"`{operation}`"
    where = f"{name} in {module}" if module else name
    if treatment not in NO_ATTRIBUTIONS:
        return f"{where} loses {_percent(lost, True)}: {note}"
    # Many messages begin with the operation already.
    note = note if note.endswith(".") else f"{note}."
    own = next((one for one in (f"{operation} ", "dropout ") if note.startswith(one)), None)
    return f"{where} {note.removeprefix(own)}" if own else f"{where}: {note}"


def _percent(lost: float, counts: bool) -> str:
    if math.isnan(lost):
        return "-"
    return f"{lost:.2%}" if counts else "0"
