"""Whether attribution maps say the same thing about the same patterns: their directions against a smooth spread."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.attribution_tracks import require_attributions
from seqlight.metrics.ratios import NAN, require_choice, to_sum_dtype
from seqlight.sequence.checks import require_count

Basis = Literal["orthonormal", "released"]
BASES = ("orthonormal", "released")
# In radians, and in boxes: both of the released code.
_BOX, _REACH = 0.1, 3
_BOXES = int(math.pi / _BOX)


def attribution_consistency(
    attributions: Tensor, k: int = 3, share: float = 0.1, basis: Basis = "orthonormal"
) -> Tensor:
    r"""Return how consistent attribution maps are as a whole: how far their directions cluster.

    A network that has learned a motif attributes it in the same way wherever it occurs, so the same few directions
    in the space of letters come up again and again; noise points everywhere. Of Majdandzic et al. (2022), this is the
    second measure. From each position the mean over letters is subtracted (their gradient correction), each map is
    divided by the sum of the lengths of its positions' vectors, and `k` consecutive vectors are added. Those of
    largest length become points on a sphere, in boxes of 0.1 by 0.1 radian of two angles, weighted by their squared
    length: the density p. The result is the Kullback-Leibler divergence

    .. math:: \sum_{ij} p_{ij} \log(p_{ij} / q_{ij}) \cdot 0.1^2

    from a prior q that is the mean of p over the boxes around each box: 0 for directions without clusters.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, 4, positions)
        Best hypothetical attributions, of all four letters, as the gradients of the paper are; those of the observed
        characters alone have few directions, and score higher for any model. Maps may have any scale.
    k : int
        Consecutive positions whose vectors are added; the first positions follow the last.
    share : float
        The share of all positions, of all sequences together, that become points: those with the longest vectors.
    basis : str
        How the four letters become three coordinates. "orthonormal" preserves angles; "released" is what the authors'
        code computes, whose second coordinate lacks the third letter.

    Returns
    -------
    torch.Tensor, float64, shape ()
        In nats, the higher the more consistent. NaN if an attribution is NaN or infinite, if there is no attribution,
        or if there are fewer than ``2 / share`` positions.

    Raises
    ------
    InputError
        If `attributions` has another shape or is empty, or there is no such `k`, `share` or `basis`.

    Notes
    -----
    Few points leave most boxes empty and look like clusters: an untrained network reaches 1.1 with 300 points and 0.2
    with 3,000. Compare models on the same sequences, best on a few hundred of them; :func:`kmer_consistency` needs
    fewer.

    From the paper and the code that its authors released (github.com/crajesh6/acme): the correction, both scalings,
    the weights, ``k``, ``share``, boxes and prior, and that boxes at the border of the grid do not count in the sum and
    the prior reaches three boxes back and two on. Ours: the default basis; a position exactly at the cutoff is left
    out, as there, but a map without attribution is, too; angles by atan2, which is the same but on an axis; pi in full;
    no rounding to three digits.

    References
    ----------
    Majdandzic, A. et al. (2022), Selecting deep neural networks that yield consistent attribution-based
    interpretations for genomics, Proceedings of Machine Learning Research 200:131-149.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import attribution_consistency
    >>> noise = torch.randn(100, 4, 100, generator=torch.Generator().manual_seed(0))
    >>> planted = noise.clone()
    >>> planted[:, :, 40:45] += 20 * torch.eye(4)[:, [3, 2, 0, 1, 0]]  # TGACA
    >>> bool(attribution_consistency(planted) > 2 * attribution_consistency(noise))
    True
    """
    return vector_consistency(window_vectors(attributions, k, basis), require_share(share))


def window_vectors(attributions: object, k: int, basis: Basis) -> Tensor:
    """Return the summed vector of the `k` positions from each position on, scaled by map: (positions of all, 3)."""
    require_choice(basis, "basis", BASES)
    found = to_sum_dtype(require_attributions(attributions))
    if found.ndim != 3 or found.shape[1] != 4:
        raise InputError(
            f"attributions has shape {tuple(found.shape)}: expected (sequences, 4, positions), as directions are those "
            "in the space of four letters; for other alphabets use kmer_consistency."
        )
    if require_count(k, "k", least=1) > found.shape[2]:
        raise InputError(f"k is {k}: expected at most the {found.shape[2]} positions that there are.")
    # Divided by the largest entry first, so that neither squares nor sums of tiny numbers underflow.
    size = found.abs().amax(dim=(1, 2), keepdim=True)
    corrected = torch.where(size == 0, found, found / size)
    corrected = corrected - corrected.mean(dim=1, keepdim=True)
    lengths = corrected.norm(dim=1, keepdim=True).sum(dim=2, keepdim=True)
    scaled = torch.where(lengths == 0, corrected, corrected / lengths)
    summed = scaled.clone()
    for i in range(1, k):
        summed += scaled.roll(-i, dims=2)
    return torch.einsum("cl,nlp->npc", _coordinates(basis).to(summed), summed).reshape(-1, 3)


def vector_consistency(vectors: Tensor, share: float) -> Tensor:
    """Return the divergence of the directions of the longest vectors, shape (vectors, 3), from their local mean."""
    lengths = vectors.norm(dim=1)
    n = int(share * len(lengths))
    if n < 2 or not bool(vectors.isfinite().all()):
        return vectors.new_tensor(NAN)
    chosen = lengths > lengths.kthvalue(len(lengths) - n + 1).values
    density = _density(vectors[chosen], lengths[chosen])
    inside = density[1:-1, 1:-1]
    prior = _local_mean(density)
    return relative_entropy(inside, prior) * _BOX**2


def relative_entropy(p: Tensor, q: Tensor) -> Tensor:
    """Return the sum of p log(p / q), to which zeros of p add nothing."""
    terms: Tensor = torch.special.xlogy(p, torch.where(p == 0, 1.0, p / q))
    return terms.sum()


def require_share(share: object) -> float:
    """Return a share of positions; raise InputError unless it is above 0 and at most 1."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise InputError(f"share is {share!r}: expected a share of positions, above 0 and at most 1.")
    return float(share)


def _coordinates(basis: Basis) -> Tensor:
    """Return the three coordinates as weights of the four letters, shape (3, 4)."""
    rows = torch.tensor([[-1, 1, 0, 0], [-1 / 2, -1 / 2, 1, 0], [-1 / 3, -1 / 3, -1 / 3, 1]], dtype=torch.float64)
    rows = torch.nn.functional.normalize(rows, dim=1)
    if basis == "released":
        rows[1, 2] = 0
    return rows


def _density(vectors: Tensor, lengths: Tensor) -> Tensor:
    """Return the density of directions over two angles, both 0 to pi, weighted by squared lengths: (boxes, boxes)."""
    first, second, third = vectors.unbind(1)
    # Around the first axis, halved so that both angles have the same range; and away from it.
    angles = torch.atan2(third, second) / 2 + math.pi / 2, torch.acos((first / lengths).clamp(-1, 1))
    around, away = ((angle / _BOX).long().clamp(max=_BOXES - 1) for angle in angles)
    counts = vectors.new_zeros(_BOXES**2).index_add_(0, around * _BOXES + away, lengths.square())
    return counts.view(_BOXES, _BOXES) / counts.sum() / _BOX**2


def _local_mean(density: Tensor) -> Tensor:
    """Return the mean density around each inner box, over boxes that exist; the first row and column never count."""
    counted = torch.stack([density, torch.ones_like(density)])[:, 1:, 1:]
    padded = torch.nn.functional.pad(counted, (_REACH, _REACH - 1) * 2)
    sums: Tensor = padded.unfold(1, 2 * _REACH, 1).unfold(2, 2 * _REACH, 1).sum(dim=(3, 4))
    return (sums[0] / sums[1])[:-1, :-1]
