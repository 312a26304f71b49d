"""Annotations of a logo: the spans of a table that lie in its window, with their labels and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.sequence.checks import require_count

LABEL_KEYS = ("motif_name", "motif")
STRAND_KEYS = ("motif_strand", "strand")
SCORE_KEYS = ("attribution", "score")
# Columns of strings that come first in some tables and do not name motifs.
NO_LABELS = frozenset(("chrom", "chr", "chromosome", "strand"))


@dataclass
class Annotation:
    """One span, and its place in the layout.

    Attributes
    ----------
    start, end : float
        The span, ``start <= position < end``.
    label : str
        Its name; empty if it has none.
    score : float, optional
        Its score.
    row : int, optional
        The row that it is drawn in; None if there is no room for it.
    labelled : bool
        Whether there is room for its text too.
    left, right : float
        The ends of bar and text together, in points from the left of the axes.
    text : str
        The text beneath its bar.
    text_center : float
        The position at which the text is centred.
    """

    start: float
    end: float
    label: str
    score: float | None
    row: int | None = None
    labelled: bool = True
    left: float = 0.0
    right: float = 0.0
    text: str = ""
    text_center: float = 0.0

    def set_text(self, show_score: bool) -> None:
        """Set the text to the label, followed by the score in three significant digits if that is to be shown."""
        score = f"{self.score:.3g}" if show_score and self.score is not None else ""
        self.text = " ".join(f"{self.label} {score}".split())


def select_annotations(
    table: pd.DataFrame,
    first: int,
    last: int,
    example_idx: int | None = None,
    score_key: str | None = None,
    label_key: str | None = None,
    name: str = "annotations",
) -> list[Annotation]:
    """Return the annotations of one example that lie wholly inside ``first <= position < last``.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `start` and `end`. Where `motif_strand`, or else `strand`, is "-", the label ends in "(-)".
    first, last : int
        The window.
    example_idx : int, optional
        The example, where the table has several.
    score_key, label_key : str, optional
        Columns. By default the scores are `attribution` or else `score`, where there is such a column, and the
        labels are `motif_name` or `motif`, or else the first column if it holds strings.
    name : str
        The name of the argument, for error messages.

    Raises
    ------
    InputError
        If it is not a table, if a column is missing or holds values of another kind, or if the table holds several
        examples and none is chosen.
    """
    if not isinstance(table, pd.DataFrame):
        raise InputError(
            f"`{name}` is of type {type(table).__name__}, but a pandas.DataFrame with the columns start and end is "
            "needed, for instance what recursive_seqlets returns."
        )
    for key in ("start", "end", score_key, label_key):
        if key is not None and key not in table.columns:
            raise InputError(f"`{name}` has no column {key!r}, only {', '.join(map(str, table.columns))}: rename one.")
    score_key = score_key or next((key for key in SCORE_KEYS if key in table.columns), None)
    label_key = label_key or _default_label_key(table)
    table = _select_example(table, example_idx, name)
    starts, ends = _numbers(table, "start", name), _numbers(table, "end", name)
    if (ends < starts).any():
        raise InputError(f"`{name}` has {int((ends < starts).sum())} rows that end before they start: swap the two.")
    inside = (starts >= first) & (ends <= last)
    labels = [""] * len(table) if label_key is None else _labels(table, label_key)
    scores = np.full(len(table), np.nan) if score_key is None else _numbers(table, score_key, name, finite=False)
    return [
        Annotation(starts[row], ends[row], labels[row], None if np.isnan(scores[row]) else float(scores[row]))
        for row in np.flatnonzero(inside).tolist()
    ]


def _labels(table: pd.DataFrame, label_key: Any) -> list[str]:
    """Return the labels, with "(-)" appended to those on the reverse strand."""
    names: list[str] = table[label_key].astype(str).tolist()
    key = next((key for key in STRAND_KEYS if key in table.columns), None)
    if key is None:
        return names
    return [f"{name} (-)" if strand == "-" else name for name, strand in zip(names, table[key], strict=True)]


def _default_label_key(table: pd.DataFrame) -> Any:
    for key in LABEL_KEYS:
        if key in table.columns:
            return key
    if not len(table.columns) or str(table.columns[0]).lower() in NO_LABELS:
        return None
    first = table.iloc[:, 0]
    has_labels = pd.api.types.is_string_dtype(first) or isinstance(first.dtype, pd.CategoricalDtype)
    return table.columns[0] if has_labels else None


def _numbers(table: pd.DataFrame, key: Any, name: str, finite: bool = True) -> NDArray[np.float64]:
    try:
        numbers: NDArray[np.float64] = table[key].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"column {key!r} of `{name}` does not hold numbers ({error}).") from error
    if finite and not np.isfinite(numbers).all():
        raise InputError(f"column {key!r} of `{name}` holds NaN or infinity: drop those rows.")
    return numbers


def _select_example(table: pd.DataFrame, example_idx: int | None, name: str) -> pd.DataFrame:
    if "example_idx" not in table.columns:
        if example_idx is not None:
            raise InputError(
                f"`example_idx` was given, but `{name}` has no column of that name to choose by: leave it out."
            )
        return table
    if example_idx is not None:
        return table[table["example_idx"] == require_count(example_idx, "example_idx")]
    n_examples = table["example_idx"].nunique()
    if n_examples > 1:
        raise InputError(f"`{name}` holds {n_examples} examples, but a logo shows one: choose it with `example_idx`.")
    return table
