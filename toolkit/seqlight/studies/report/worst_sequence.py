"""Logos of the sequence on which implementations disagree most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from seqlight.report.figures import logos
from seqlight.studies.report.judgement import Judgement, ModelJudgement, mean_contributions
from seqlight.studies.report.summaries import describe_outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqlight.studies.results import StudyResults

# Longer sequences are cut to this many positions, around the largest disagreement.
WINDOW = 160


def plot_worst_sequence(results: StudyResults, judged: ModelJudgement) -> tuple[Figure, str] | None:
    """Draw logos of the sequence on which implementations disagree most, one below the other.

    Contributions are averaged over references. Those of implementations that do not promise completeness have other
    units, and are scaled to the height of the others.

    Returns
    -------
    (matplotlib.figure.Figure, str), or None if there are no contributions
        The figure, and which row of the sequences, and which positions, it shows.
    """
    shown = [one for one in judged.cells if one.cell["status"] == "ok" and one.standing != "not finite"]
    if not shown:
        return None
    tracks = torch.stack([_track(results, judged, one) for one in shown])
    case = results.case(judged.model)
    X = case.X.double()
    row, start, end = worst_place(tracks[[one.standing != "no promise" for one in shown]] if len(shown) > 1 else tracks)
    track = tracks[:, row]
    heights = track[:, start:end].abs().amax(dim=1)
    highest = max((float(h) for h, one in zip(heights, shown, strict=True) if one.standing != "no promise"), default=0)
    titles = []
    for i, one in enumerate(shown):
        scaled = one.standing == "no promise" and highest > 0 and float(heights[i]) > 0
        if scaled:
            track[i] *= highest / heights[i]
        titles.append(f"{one.title}: {describe_outcome(one)}{', drawn to the same height' if scaled else ''}")
    shaded = None if case.motifs is None else [_intervals(case.motifs[row])] * len(titles)
    figure = logos(track[:, None] * X[row], titles, shaded=shaded, start=start, end=end)
    for ax in figure.axes:
        ax.set_ylabel("")
        ax.tick_params(labelbottom=ax is figure.axes[-1], labelsize=8)
    figure.supylabel("contribution to the output", fontsize=9)
    length = X.shape[-1]
    part = f", positions {start} to {end - 1} of {length}" if end - start < length else ""
    return figure, f"row {row}{part}{', with its motifs shaded' if shaded else ''}"


def worst_place(tracks: torch.Tensor) -> tuple[int, int, int]:
    """Return the row, and the window of positions, where contributions differ most from the first ones.

    Parameters
    ----------
    tracks : torch.Tensor, shape (implementations, rows, positions)

    Returns
    -------
    row, start, end : int

    Examples
    --------
    >>> import torch
    >>> from seqlight.studies.report.worst_sequence import worst_place
    >>> tracks = torch.zeros(2, 3, 1000)
    >>> tracks[1, 2, 700] = 1
    >>> worst_place(tracks)
    (2, 620, 780)
    """
    if not len(tracks):
        return 0, 0, min(WINDOW, tracks.shape[-1])
    differences = (tracks - tracks[0]).abs().amax(dim=0)
    if not bool(differences.any()):
        # They are all the same: show the largest contributions.
        differences = tracks[0].abs()
    row = int(differences.square().sum(dim=-1).argmax())
    length = differences.shape[-1]
    start = max(0, min(int(differences[row].argmax()) - WINDOW // 2, length - WINDOW))
    return row, start, min(start + WINDOW, length)


def _intervals(inside: torch.Tensor) -> list[tuple[int, int]]:
    """Return the intervals in which a tensor of bool is true."""
    edges = np.flatnonzero(np.diff(inside.numpy().astype(int), prepend=0, append=0)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _track(results: StudyResults, judged: ModelJudgement, one: Judgement) -> torch.Tensor:
    return mean_contributions(results.contributions(judged.model, one.name, one.dtype))
