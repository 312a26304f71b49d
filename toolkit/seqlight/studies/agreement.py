"""How far contributions add up, and how much two implementations agree; from stored arrays alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlight.metrics.similarity import attribution_similarity, method_agreement

# Of the positions of a sequence, this share counts as its largest.
TOP = 0.1
NAN = math.nan


def miss(contributions: Tensor, outputs: Tensor, reference_outputs: Tensor) -> tuple[float, float]:
    """Return by how much contributions miss the output difference, as a share of it: in the mean, and at most.

    Parameters
    ----------
    contributions : torch.Tensor, shape (rows, references, positions) or (rows, positions)
        Without references, their sums are compared with the mean difference of each row.
    outputs : torch.Tensor, shape (rows,)
    reference_outputs : torch.Tensor, shape (rows, references)

    Returns
    -------
    float, float
        |sum of contributions - output difference|, mean and largest over pairs, over the mean |output difference|. NaN
        if the outputs do not differ, or contributions are not finite.

    Examples
    --------
    >>> miss(torch.tensor([[[1.0, 2.0]]]), torch.tensor([5.0]), torch.tensor([[1.0]]))
    (0.25, 0.25)
    """
    differences = outputs.double()[:, None] - reference_outputs.double()
    scale = float(differences.abs().mean())
    if contributions.ndim == 2:
        differences = differences.mean(dim=1)
    errors = (contributions.double().sum(dim=-1) - differences).abs()
    if not scale or not bool(torch.isfinite(errors).all()):
        return NAN, NAN
    return float(errors.mean()) / scale, float(errors.max()) / scale


def likeness(contributions: Tensor, others: Tensor) -> dict[str, float]:
    """Return how alike two sets of contributions are.

    Parameters
    ----------
    contributions, others : torch.Tensor, shape (rows, references, positions) or (rows, positions)
        If one has no references, the mean of the other over references is compared.

    Returns
    -------
    dict
        Means over pairs, or rows, of ``r`` and ``rank_r``, Pearson's and Spearman's correlation over positions;
        ``sign_flips``, the share of the magnitude at positions that have the other sign; and ``top_overlap``, the share
        of the tenth of the positions with the largest magnitudes in common. NaN where it is not defined.
    """
    a, b = contributions.double(), others.double()
    if a.ndim != b.ndim:
        a, b = (one.mean(dim=1) if one.ndim == 3 else one for one in (a, b))
    a, b = a.flatten(0, -2), b.flatten(0, -2)
    if not bool(torch.isfinite(a).all() and torch.isfinite(b).all()):
        return dict.fromkeys(("r", "rank_r", "sign_flips", "top_overlap"), NAN)
    top = max(1, round(TOP * a.shape[-1]))
    return {
        "r": float(attribution_similarity(a, b, "pearson")),
        "rank_r": float(method_agreement(a, b, "rank_correlation")),
        "sign_flips": _sign_flips(a, b),
        "top_overlap": float(method_agreement(a, b, "top", k=top)),
    }


def motif_agreement(contributions: Tensor, motifs: Tensor) -> dict[str, float]:
    """Return how much of the contributions is where it should be.

    Parameters
    ----------
    contributions : torch.Tensor, shape (rows, references, positions) or (rows, positions)
    motifs : torch.Tensor of bool, shape (rows, positions)

    Returns
    -------
    dict
        Means over the rows with motifs of ``motif_share``, the share of the magnitude inside motifs, and
        ``motif_recall``, the share of their n positions among the n positions of the largest magnitude.
    """
    size = (contributions.double().mean(dim=1) if contributions.ndim == 3 else contributions.double()).abs()
    shares, recalls = [], []
    for row, inside in zip(size, motifs, strict=True):
        n = int(inside.sum())
        if n and bool(torch.isfinite(row).all()) and float(row.sum()):
            shares.append(float(row[inside].sum() / row.sum()))
            recalls.append(float(inside[row.argsort(descending=True, stable=True)[:n]].double().mean()))
    return {
        "motif_share": sum(shares) / len(shares) if shares else NAN,
        "motif_recall": sum(recalls) / len(recalls) if recalls else NAN,
    }


def _sign_flips(a: Tensor, b: Tensor) -> float:
    weight = a.abs() / a.abs().sum(dim=1, keepdim=True) + b.abs() / b.abs().sum(dim=1, keepdim=True)
    return float((weight * (a.sign() * b.sign() < 0)).sum(dim=1).div(2).nanmean())
