"""How complete, how concentrated and how stable attributions are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Convergence(NamedTuple):
    """How far sums of attributions are from the output differences that they explain.

    Attributes
    ----------
    largest : float
        The largest miss of a sequence, in units of the output.
    relative : float
        The mean miss over the mean output difference.
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

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics.attribution import convergence
    >>> convergence(torch.full((1, 4, 2), 0.25), torch.tensor([3.0]), torch.tensor([[0.5, 1.5]])).largest
    0.0
    """
    differences = outputs.double() - reference_outputs.double().mean(dim=1)
    misses = (attributions.double().sum(dim=(1, 2)) - differences).abs()
    size = differences.abs().mean().clamp_min(torch.finfo(torch.float64).tiny)
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
        Between 0 and 1; 0 where nothing is positive.
    """
    positive = attributions.double().sum(dim=1).clamp_min(0)
    total = positive.sum()
    return float(positive[:, start:end].sum() / total) if total > 0 else 0.0


def similarity(a: Tensor, b: Tensor) -> float:
    """Return the mean cosine between the attributions of the same sequences.

    Parameters
    ----------
    a, b : torch.Tensor, shape (sequences, letters, positions)

    Returns
    -------
    float
        Between -1 and 1.
    """
    return float(torch.nn.functional.cosine_similarity(a.double().flatten(1), b.double().flatten(1)).mean())
