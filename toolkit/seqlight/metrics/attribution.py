"""How complete, how concentrated and how stable attributions are."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.overlap import require_intervals

_SMALLEST = torch.finfo(torch.float64).tiny


class Convergence(NamedTuple):
    """How far sums of attributions are from the output differences that they explain.

    Attributes
    ----------
    largest : float
        The largest miss of a sequence, in units of the output.
    relative : float
        The mean miss over the mean output difference; 0 where neither is anything.
    """

    largest: float
    relative: float


def convergence(attributions: Tensor, outputs: Tensor, reference_outputs: Tensor) -> Convergence:
    """Compare sums of attributions with the output differences, measured by running the model.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
        Averaged over references.
    outputs : torch.Tensor, shape (sequences,)
        Of the model on the sequences.
    reference_outputs : torch.Tensor, shape (sequences, references)
        Of the model on their references.

    Returns
    -------
    Convergence
        NaN where an attribution or an output is.

    Raises
    ------
    InputError
        If the shapes do not belong together, or there is no sequence.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics.attribution import convergence
    >>> convergence(torch.full((1, 4, 2), 0.25), torch.tensor([3.0]), torch.tensor([[0.5, 1.5]])).largest
    0.0
    """
    _require_tracks(attributions, "attributions")
    n, references = len(attributions), tuple(reference_outputs.shape)
    # Broadcasting would turn a column of outputs into a table of differences between all pairs.
    if outputs.shape != (n,) or len(references) != 2 or references[0] != n or not references[1]:
        raise InputError(
            f"outputs has shape {tuple(outputs.shape)} and reference_outputs {references}: "
            f"expected ({n},) and ({n}, references) for {n} attributed sequences."
        )
    differences = outputs.double() - reference_outputs.double().mean(dim=1)
    misses = (attributions.double().sum(dim=(1, 2)) - differences).abs()
    size = differences.abs().mean().clamp_min(_SMALLEST)
    return Convergence(float(misses.max()), float(misses.mean() / size))


def window_share(attributions: Tensor, start: int, end: int) -> float:
    """Return the share of positive attribution that lies at ``start <= position < end``.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
        Of the characters that are there.
    start, end : int
        The window.

    Returns
    -------
    float
        Between 0 and 1; 0 where nothing is positive, NaN where an attribution is.

    Raises
    ------
    InputError
        If there is no such window.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics.attribution import window_share
    >>> window_share(torch.tensor([[[3.0, 0.0, 1.0], [0.0, -2.0, 0.0]]]), 0, 2)
    0.75
    """
    _require_tracks(attributions, "attributions")
    start, end = require_window(start, end, positions=attributions.shape[2])
    positive = attributions.double().sum(dim=1).clamp_min(0)
    total = positive.sum()
    return 0.0 if total == 0 else float(positive[:, start:end].sum() / total)


def interval_share(attributions: Tensor, intervals: pd.DataFrame) -> float:
    """Return the share of positive attribution that lies in intervals, usually known motifs.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
        Of the characters that are there.
    intervals : pandas.DataFrame
        Columns example_idx, start and end; a position in two of them counts once.

    Returns
    -------
    float
        Between 0 and 1; 0 where nothing is positive, NaN where an attribution is.

    Raises
    ------
    InputError
        If the table lacks a column, or names a sequence that there is not.

    Examples
    --------
    >>> import pandas as pd
    >>> import torch
    >>> from seqlight.metrics.attribution import interval_share
    >>> sites = pd.DataFrame({"example_idx": [1], "start": [0], "end": [2]})
    >>> interval_share(torch.ones(2, 1, 4), sites)
    0.25
    """
    _require_tracks(attributions, "attributions")
    positive = attributions.double().sum(dim=1).clamp_min(0)
    inside = torch.zeros_like(positive, dtype=torch.bool)
    for example, start, end in require_intervals(intervals, "intervals", len(positive)).tolist():
        inside[example, max(start, 0) : max(end, 0)] = True
    total = positive.sum()
    return 0.0 if total == 0 else float(positive[inside].sum() / total)


def similarity(a: Tensor, b: Tensor) -> float:
    """Return the mean cosine between the attributions of the same sequences.

    Parameters
    ----------
    a, b : torch.Tensor, shape (sequences, letters, positions)

    Returns
    -------
    float
        Between -1 and 1. A sequence without any attribution in `a` or `b` counts as 0; NaN where an
        attribution is.

    Raises
    ------
    InputError
        If the shapes differ.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics.attribution import similarity
    >>> a = torch.tensor([[[1.0, 2.0]]])
    >>> round(similarity(a, -3 * a), 6)
    -1.0
    """
    _require_tracks(a, "a")
    if a.shape != b.shape:
        raise InputError(f"a has shape {tuple(a.shape)} and b {tuple(b.shape)}: expected the same sequences in both.")
    return float((_directions(a) * _directions(b)).sum(dim=1).mean())


def require_window(start: int, end: int, *, positions: int) -> tuple[int, int]:
    """Return the window; InputError unless it is in a sequence of so many positions."""
    if not 0 <= start < end <= positions:
        raise InputError(f"the window is {start} to {end}: expected 0 <= start < end <= {positions}.")
    return start, end


def _directions(a: Tensor) -> Tensor:
    """Return vectors (sequences, numbers) of length one, zeros where there was nothing."""
    flat = a.double().flatten(1)
    # First by the largest entry, so that squares of tiny attributions do not vanish.
    flat = flat / flat.abs().amax(dim=1, keepdim=True).clamp_min(_SMALLEST)
    return torch.nn.functional.normalize(flat, dim=1, eps=_SMALLEST)


def _require_tracks(attributions: Tensor, name: str) -> None:
    if attributions.ndim != 3 or not attributions.numel():
        raise InputError(
            f"{name} has shape {tuple(attributions.shape)}: expected (sequences, letters, positions), none of them 0."
        )
