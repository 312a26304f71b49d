"""What the sections of a report are made from: a training, its last record and seqlets, and what to show of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from seqlight.report.figures import DEFAULT_RULER
from seqlight.report.ruler import Ruler
from seqlight_callbacks.history import History
from seqlight_callbacks.recorder import Recorder
from seqlight_callbacks.seqlets import SeqletCallback

# How many sequences, and how many positions of them, a reader can take in.
MOST_EXAMPLES, MOST_POSITIONS = 4, 200


@dataclass(frozen=True)
class ReportData:
    """A training, and what its callbacks recorded.

    Attributes
    ----------
    attribution : AttributionCallback
        With its last record.
    seqlets : SeqletCallback or None
        With its last table.
    history : History
        Of all records.
    examples : tuple of int
        Which sequences to show; if empty, those with the highest output in the last record.
    motif : str
        What to call the motif in the known intervals, or in the window.
    ruler : Ruler
        How positions are numbered.
    """

    attribution: Recorder
    seqlets: SeqletCallback | None
    history: History
    examples: tuple[int, ...] = ()
    motif: str = "known intervals"
    ruler: Ruler = DEFAULT_RULER

    @property
    def last_step(self) -> int:
        """The step of the last record."""
        return self.history.steps[-1]

    @property
    def known(self) -> pd.DataFrame | None:
        """The intervals in which the motif is, if they are known: example_idx, start, end."""
        if self.seqlets is not None and self.seqlets.known is not None:
            return self.seqlets.known
        if self.attribution.window is None:
            return None
        start, end = self.attribution.window
        return pd.DataFrame({"example_idx": range(len(self.attribution.sequences)), "start": start, "end": end})

    @property
    def shown(self) -> list[int]:
        """The sequences to show, those with the highest output first."""
        outputs = self.history.outputs[self.last_step].nan_to_num(float("-inf"))
        best: list[int] = outputs.argsort(descending=True, stable=True)[:MOST_EXAMPLES].tolist()
        return list(self.examples) or best

    def finite_attributions(self, step: int) -> Tensor:
        """Return the attributions at a step for drawing, with 0 for what is not finite."""
        return self.history.attributions(step).nan_to_num(0.0, 0.0, 0.0)

    def shaded(self, shown: Sequence[int]) -> list[list[tuple[int, int]]]:
        """Return the known intervals of each of these sequences, to be shaded."""
        known = self.known
        if known is None:
            return [[] for _ in shown]
        return [list(known.loc[known["example_idx"] == i, ["start", "end"]].itertuples(index=False)) for i in shown]

    @property
    def shading_caption(self) -> str:
        """A sentence on what is shaded; empty if nothing is."""
        return "" if self.known is None else f" Shaded: the {self.motif}."

    def visible_range(self, attributions: Tensor) -> tuple[int, int]:
        """Return the start and end of the positions to show: all, or the stretch with the most attribution."""
        length = attributions.shape[-1]
        if length <= MOST_POSITIONS:
            return 0, length
        size = attributions.sum(dim=1).abs().sum(dim=0).double()
        sums = size.cumsum(0)
        inside = sums[MOST_POSITIONS - 1 :] - torch.cat([sums.new_zeros(1), sums[: length - MOST_POSITIONS]])
        start = int(inside.argmax())
        return start, start + MOST_POSITIONS


def spread_evenly(steps: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the steps, evenly spaced, the first and the last among them.

    Examples
    --------
    >>> spread_evenly(range(11), 3)
    [0, 5, 10]
    """
    if len(steps) <= most:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]
