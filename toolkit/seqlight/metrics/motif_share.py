"""How much of the attribution lies where a motif is."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.attribution_tracks import sum_over_letters
from seqlight.metrics.overlap import require_intervals
from seqlight.metrics.ratios import Tally, ratio_of_sums


def motif_window_share(attributions: Tensor, start: int, end: int) -> Tensor:
    """Return the share of positive attribution that lies at ``start <= position < end``.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters.
    start, end : int
        The window, the same in every sequence.

    Returns
    -------
    torch.Tensor, float64, shape ()
        Of all sequences together, 0 to 1. 0 where nothing is positive, NaN where an attribution is NaN. An
        attribution that does not depend on the motif has (end - start) / positions.

    Raises
    ------
    InputError
        If there is no such window.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import motif_window_share
    >>> float(motif_window_share(torch.tensor([[[3.0, 0.0, 1.0], [0.0, -2.0, 0.0]]]), 0, 2))
    0.75
    """
    return ratio_of_sums(window_tally(attributions, start, end), zero_division=0.0)


def window_tally(attributions: Tensor, start: int, end: int) -> Tally:
    """Return the positive attribution in the window, over all of it."""
    positive = sum_over_letters(attributions).clamp_min(0)
    start, end = require_window(start, end, positions=positive.shape[1])
    return Tally(positive[:, start:end].sum(dim=1), positive.sum(dim=1))


def motif_interval_share(attributions: Tensor, known: pd.DataFrame) -> Tensor:
    """Return the share of positive attribution that lies in intervals, usually known motifs.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters.
    known : pandas.DataFrame
        Columns example_idx, a row of `attributions`, start and end; a position in two intervals counts once.

    Returns
    -------
    torch.Tensor, float64, shape ()
        Of all sequences together, 0 to 1. 0 where nothing is positive, NaN where an attribution is NaN.

    Raises
    ------
    InputError
        If the table lacks a column, or names a sequence that does not exist.

    Examples
    --------
    >>> import pandas as pd
    >>> import torch
    >>> from seqlight.metrics import motif_interval_share
    >>> sites = pd.DataFrame({"example_idx": [1], "start": [0], "end": [2]})
    >>> float(motif_interval_share(torch.ones(2, 1, 4), sites))
    0.25
    """
    return ratio_of_sums(interval_tally(attributions, known), zero_division=0.0)


def interval_tally(attributions: Tensor, known: pd.DataFrame) -> Tally:
    """Return the positive attribution in intervals, over all of it."""
    positive = sum_over_letters(attributions).clamp_min(0)
    inside = torch.zeros_like(positive, dtype=torch.bool)
    for example, start, end in require_intervals(known, "known", len(positive)).tolist():
        inside[example, max(start, 0) : max(end, 0)] = True
    return Tally(torch.where(inside, positive, 0.0).sum(dim=1), positive.sum(dim=1))


def require_window(start: int, end: int, *, positions: int | None = None) -> tuple[int, int]:
    """Return the window; raise InputError if it is empty or lies outside sequences of `positions`, where given."""
    if not 0 <= start < end <= (end if positions is None else positions):
        most = "" if positions is None else f" <= {positions}"
        raise InputError(f"the window is {start} to {end}: expected 0 <= start < end{most}.")
    return start, end
