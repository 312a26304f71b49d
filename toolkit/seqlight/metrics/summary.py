"""Some of the metrics of attributions as plain numbers, for a log or a report."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from torch import Tensor

from seqlight.metrics.completeness import convergence_delta
from seqlight.metrics.motif_share import motif_interval_share, motif_window_share
from seqlight.metrics.motif_share import require_window as require_window
from seqlight.metrics.similarity import attribution_similarity


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
    >>> from seqlight.metrics.summary import convergence
    >>> convergence(torch.full((1, 4, 2), 0.25), torch.tensor([3.0]), torch.tensor([[0.5, 1.5]])).largest
    0.0
    """
    largest = convergence_delta(attributions, outputs, reference_outputs, "max")
    relative = convergence_delta(attributions, outputs, reference_outputs, "relative")
    return Convergence(float(largest), float(relative))


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
    >>> from seqlight.metrics.summary import window_share
    >>> window_share(torch.tensor([[[3.0, 0.0, 1.0], [0.0, -2.0, 0.0]]]), 0, 2)
    0.75
    """
    return float(motif_window_share(attributions, start, end))


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
    >>> from seqlight.metrics.summary import interval_share
    >>> sites = pd.DataFrame({"example_idx": [1], "start": [0], "end": [2]})
    >>> interval_share(torch.ones(2, 1, 4), sites)
    0.25
    """
    return float(motif_interval_share(attributions, intervals))


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
    >>> from seqlight.metrics.summary import similarity
    >>> a = torch.tensor([[[1.0, 2.0]]])
    >>> round(similarity(a, -3 * a), 6)
    -1.0
    """
    return float(attribution_similarity(a, b))
