"""How similar two attributions of the same sequences are: of two epochs, two seeds, or two methods."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.attribution_tracks import divide_by_largest, require_pair, sum_over_letters
from seqlight.metrics.ratios import Reduction, Tally, mean_tally, reduce_tally, require_choice, to_sum_dtype
from seqlight.sequence.checks import require_count

SimilarityKind = Literal["cosine", "pearson", "sign"]
AgreementKind = Literal["rank_correlation", "top", "signed_top"]
SIMILARITY_KINDS = ("cosine", "pearson", "sign")
AGREEMENT_KINDS = ("rank_correlation", "top", "signed_top")
_SMALLEST = torch.finfo(torch.float32).tiny


def attribution_similarity(
    attributions: Tensor, others: Tensor, kind: SimilarityKind = "cosine", reduction: Reduction = "mean"
) -> Tensor:
    """Return how similar two attributions of the same sequences are, number by number.

    Parameters
    ----------
    attributions, others : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        All numbers of a sequence are compared; sum over letters to compare positions.
    kind : str
        "cosine", which ignores the scale; "pearson", Pearson's correlation, which ignores an offset too; or
        "sign", the share of numbers with the same sign among those that are not zero in both.
    reduction : str
        "mean" over sequences, or "none".

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        -1 to 1, for "sign" 0 to 1. 0 where one of the two has nothing to compare: only zeros, or for "pearson"
        only equal numbers. NaN where one is NaN or infinite.

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
    return reduce_tally(similarity_tally(attributions, others, kind), reduction)


def similarity_tally(attributions: Tensor, others: Tensor, kind: SimilarityKind) -> Tally:
    """Return the similarity of each sequence, over 1."""
    require_choice(kind, "kind", SIMILARITY_KINDS)
    a, b = (to_sum_dtype(one).flatten(1) for one in require_pair(attributions, others))
    return mean_tally({"cosine": cosines, "pearson": correlations, "sign": _sign_agreement}[kind](a, b))


def method_agreement(
    attributions: Tensor,
    others: Tensor,
    kind: AgreementKind = "rank_correlation",
    k: int = 10,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return how far two attributions of the same sequences agree on the order of positions, or on the top ones.

    Parameters
    ----------
    attributions, others : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters.
    kind : str
        "rank_correlation" is Spearman's, over all positions. "top" is the share that the `k` positions of
        largest magnitude have in common (feature agreement), "signed_top" the share that they have in common
        with the same sign (sign agreement). Of equal magnitudes the first is on top; zeros never are.
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
    perspective, Transactions on Machine Learning Research. Its rank agreement, of top positions in the same
    order, is not among the kinds.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import method_agreement
    >>> a, b = torch.tensor([[0.0, 5.0, -4.0, 1.0]]), torch.tensor([[0.0, 9.0, 3.0, 1.0]])
    >>> [float(method_agreement(a, b, kind, k=2)) for kind in ("top", "signed_top")]
    [1.0, 0.5]
    """
    return reduce_tally(agreement_tally(attributions, others, kind, k), reduction)


def agreement_tally(attributions: Tensor, others: Tensor, kind: AgreementKind, k: int) -> Tally:
    """Return the agreement of each sequence, over 1."""
    require_choice(kind, "kind", AGREEMENT_KINDS)
    require_pair(attributions, others)
    a, b = sum_over_letters(attributions), sum_over_letters(others, "others")
    if kind == "rank_correlation":
        found = correlations(_ranks(a), _ranks(b))
    else:
        if require_count(k, "k", least=1) > a.shape[1]:
            raise InputError(f"k is {k}: expected at most the {a.shape[1]} positions that there are.")
        found = _top_agreement(a, b, k, signed=kind == "signed_top")
    return mean_tally(_nan_unless_finite(found, a, b))


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine between rows, shape (sequences,); 0 where a row is all zeros, NaN where it is not finite."""
    products = (_unit_rows(a) * _unit_rows(b)).sum(dim=1)
    # Rounding must not make a cosine that acos refuses.
    return products.clamp(-1, 1)


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Return Pearson's correlation between rows, shape (sequences,); 0 where a row is constant."""
    return cosines(_center_rows(a), _center_rows(b))


def _unit_rows(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(divide_by_largest(rows), dim=1, eps=_SMALLEST)


def _center_rows(rows: Tensor) -> Tensor:
    rows = divide_by_largest(rows)
    # The mean of equal numbers may be off by a rounding error, which would point in any direction.
    constant = rows.amax(dim=1, keepdim=True) == rows.amin(dim=1, keepdim=True)
    return torch.where(constant, torch.zeros_like(rows), rows - rows.mean(dim=1, keepdim=True))


def _sign_agreement(a: Tensor, b: Tensor) -> Tensor:
    """Return the share of equal signs, leaving out what is zero in both."""
    a_sign, b_sign = a.sign(), b.sign()
    compared = (a_sign != 0) | (b_sign != 0)
    # Integers over integers would be float32.
    same = to_sum_dtype((compared & (a_sign == b_sign)).sum(dim=1)) / compared.sum(dim=1).clamp_min(1)
    return _nan_unless_finite(same, a, b)


def _ranks(rows: Tensor) -> Tensor:
    """Return ranks from 1, the mean rank for equal numbers."""
    ordered = rows.sort(dim=1).values.contiguous()
    below = torch.searchsorted(ordered, rows.contiguous())
    not_above = torch.searchsorted(ordered, rows.contiguous(), right=True)
    return (below + not_above + 1).to(rows.dtype) / 2


def _top_agreement(a: Tensor, b: Tensor, k: int, *, signed: bool) -> Tensor:
    a_top, b_top = _top_mask(a, k), _top_mask(b, k)
    common = a_top & b_top & (a.sign() == b.sign()) if signed else a_top & b_top
    # Both have fewer than k where there are fewer than k numbers other than zero.
    most = torch.maximum(a_top.sum(dim=1), b_top.sum(dim=1)).clamp_min(1)
    return to_sum_dtype(common.sum(dim=1)) / most


def _top_mask(rows: Tensor, k: int) -> Tensor:
    """Return a mask of the k largest magnitudes, the earlier of equal ones, without zeros."""
    order = rows.abs().argsort(dim=1, descending=True, stable=True)[:, :k]
    return torch.zeros_like(rows, dtype=torch.bool).scatter(1, order, True) & (rows != 0)


def _nan_unless_finite(values: Tensor, a: Tensor, b: Tensor) -> Tensor:
    finite = (a.isfinite() & b.isfinite()).all(dim=1)
    return torch.where(finite, values, float("nan"))
