"""How alike two attributions of the same sequences are: of two epochs, two seeds, or two methods."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.attribution_tracks import correlations, cosines, positions_of, require_pair
from seqlight.metrics.ratios import Reduction, Tally, mean_of, reduced, require_choice, wide
from seqlight.sequence.checks import require_count

SimilarityKind = Literal["cosine", "pearson", "sign"]
AgreementKind = Literal["rank_correlation", "top", "signed_top"]
SIMILARITY_KINDS = ("cosine", "pearson", "sign")
AGREEMENT_KINDS = ("rank_correlation", "top", "signed_top")


def attribution_similarity(
    attributions: Tensor, others: Tensor, kind: SimilarityKind = "cosine", reduction: Reduction = "mean"
) -> Tensor:
    """Return how alike two attributions of the same sequences are, number by number.

    Parameters
    ----------
    attributions, others : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        All numbers of a sequence are compared; sum over letters to compare positions.
    kind : str
        "cosine", which ignores the scale; "pearson", Pearson's correlation, which ignores an offset too; or
        "sign", the share of numbers of the same sign among those that are not zero in both.
    reduction : str
        "mean" over sequences, or "none".

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        -1 to 1, for "sign" 0 to 1. 0 where one has nothing to compare: only zeros, or for "pearson" only
        equal numbers. NaN where one is NaN or infinite.

    Raises
    ------
    InputError
        If the shapes differ, or there is no such kind.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import attribution_similarity
    >>> a = torch.tensor([[[1.0, 2.0, 0.0]], [[1.0, -1.0, 0.0]]])
    >>> attribution_similarity(a, a * torch.tensor([3.0, -3.0])[:, None, None], reduction="none").round(decimals=6)
    tensor([ 1., -1.], dtype=torch.float64)
    """
    return reduced(similarity_tally(attributions, others, kind), reduction)


def similarity_tally(attributions: Tensor, others: Tensor, kind: SimilarityKind) -> Tally:
    """Return similarities of sequences, over 1."""
    require_choice(kind, "kind", SIMILARITY_KINDS)
    a, b = (wide(one).flatten(1) for one in require_pair(attributions, others))
    return mean_of({"cosine": cosines, "pearson": correlations, "sign": _same_signs}[kind](a, b))


def method_agreement(
    attributions: Tensor,
    others: Tensor,
    kind: AgreementKind = "rank_correlation",
    k: int = 10,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return whether two attributions of the same sequences put positions in the same order, or on top.

    Parameters
    ----------
    attributions, others : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Of the characters that are there.
    kind : str
        "rank_correlation" is Spearman's, over all positions. "top" is the share that the `k` positions of
        largest magnitude have in common (feature agreement), "signed_top" the share that is in common with the
        same sign (sign agreement). Of equal magnitudes the first is on top; zeros are on no top.
    k : int
        Positions on top; not read for "rank_correlation".
    reduction : str
        "mean" over sequences, or "none".

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        -1 to 1 for "rank_correlation", 0 where all positions are equal; 0 to 1 for the others, 0 where there is
        no top. NaN where an attribution is NaN or infinite.

    Raises
    ------
    InputError
        If the shapes differ, `k` is more than there are positions, or there is no such kind.

    References
    ----------
    Krishna, S. et al. (2024), The disagreement problem in explainable machine learning: a practitioner's
    perspective, Transactions on Machine Learning Research. Two orders of top positions are not compared here.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import method_agreement
    >>> a, b = torch.tensor([[0.0, 5.0, -4.0, 1.0]]), torch.tensor([[0.0, 9.0, 3.0, 1.0]])
    >>> [float(method_agreement(a, b, kind, k=2)) for kind in ("top", "signed_top")]
    [1.0, 0.5]
    """
    return reduced(agreement_tally(attributions, others, kind, k), reduction)


def agreement_tally(attributions: Tensor, others: Tensor, kind: AgreementKind, k: int) -> Tally:
    """Return agreements of sequences, over 1."""
    require_choice(kind, "kind", AGREEMENT_KINDS)
    require_pair(attributions, others)
    a, b = positions_of(attributions), positions_of(others, "others")
    if kind == "rank_correlation":
        found = correlations(_ranks(a), _ranks(b))
    else:
        if require_count(k, "k", least=1) > a.shape[1]:
            raise InputError(f"k is {k}: expected at most the {a.shape[1]} positions that there are.")
        found = _common_top(a, b, k, signed=kind == "signed_top")
    return mean_of(_where_finite(found, a, b))


def _same_signs(a: Tensor, b: Tensor) -> Tensor:
    """Return the share of equal signs, leaving out what is zero in both."""
    signs, rivals = a.sign(), b.sign()
    compared = (signs != 0) | (rivals != 0)
    # Integers over integers would be float32.
    same = wide((compared & (signs == rivals)).sum(dim=1)) / compared.sum(dim=1).clamp_min(1)
    return _where_finite(same, a, b)


def _ranks(rows: Tensor) -> Tensor:
    """Return ranks from 1, the mean rank for equal numbers."""
    ordered = rows.sort(dim=1).values.contiguous()
    below = torch.searchsorted(ordered, rows.contiguous())
    not_above = torch.searchsorted(ordered, rows.contiguous(), right=True)
    return (below + not_above + 1).to(rows.dtype) / 2


def _common_top(a: Tensor, b: Tensor, k: int, *, signed: bool) -> Tensor:
    mine, yours = _top(a, k), _top(b, k)
    common = mine & yours & (a.sign() == b.sign()) if signed else mine & yours
    # Both have fewer than k where there are fewer than k numbers other than zero.
    most = torch.maximum(mine.sum(dim=1), yours.sum(dim=1)).clamp_min(1)
    return wide(common.sum(dim=1)) / most


def _top(rows: Tensor, k: int) -> Tensor:
    """Return a mask of the k largest magnitudes, the earlier of equal ones, and no zeros."""
    order = rows.abs().argsort(dim=1, descending=True, stable=True)[:, :k]
    return torch.zeros_like(rows, dtype=torch.bool).scatter(1, order, True) & (rows != 0)


def _where_finite(values: Tensor, a: Tensor, b: Tensor) -> Tensor:
    finite = (a.isfinite() & b.isfinite()).all(dim=1)
    return torch.where(finite, values, float("nan"))
