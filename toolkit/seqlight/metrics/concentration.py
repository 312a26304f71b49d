"""On how many positions an attribution rests: each position's share of the absolute attribution, as a distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.metrics.attribution_tracks import positions_of, scaled
from seqlight.metrics.ratios import Reduction, Tally, reduced


def attribution_entropy(attributions: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return Shannon's entropy of the absolute attribution over positions, in nats.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Of the characters that are there.
    reduction : str
        "mean" over sequences, or "none".

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        From 0, all on one position, to log(positions), the same on each. A sequence without any attribution
        has none and does not count: NaN where there are no others, and where an attribution is NaN.

    Raises
    ------
    InputError
        If `attributions` has another shape or is empty.

    References
    ----------
    Shannon, C. E. (1948), A mathematical theory of communication, Bell System Technical Journal 27.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import attribution_entropy
    >>> found = attribution_entropy(torch.tensor([[1.0, -1.0, 1.0, 1.0]]))
    >>> bool(found == torch.tensor(4.0).double().log())
    True
    """
    return reduced(entropy_tally(attributions), reduction)


def entropy_tally(attributions: Tensor) -> Tally:
    """Return entropies, over 1 where there is a distribution."""
    shares, counts = _distributions(attributions)
    return Tally(torch.special.entr(shares).sum(dim=1), counts)


def effective_positions(attributions: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return on how many positions an attribution rests: the number that, equally strong, would have its entropy.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Of the characters that are there.
    reduction : str
        "mean" over sequences, or "none".

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        The exponential of each sequence's entropy: 1 to the number of positions. A sequence without any
        attribution does not count: NaN where there are no others, and where an attribution is NaN.

    Raises
    ------
    InputError
        If `attributions` has another shape or is empty.

    References
    ----------
    Hill, M. O. (1973), Diversity and evenness: a unifying notation and its consequences, Ecology 54: order 1.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import effective_positions
    >>> round(float(effective_positions(torch.tensor([[3.0, 0.0, -3.0, 0.0, 3.0]]))), 6)
    3.0
    """
    return reduced(positions_tally(attributions), reduction)


def positions_tally(attributions: Tensor) -> Tally:
    """Return effective numbers of positions, over 1 where there is a distribution."""
    shares, counts = _distributions(attributions)
    return Tally(torch.special.entr(shares).sum(dim=1).exp() * counts, counts)


def attribution_gini(attributions: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the Gini coefficient of the absolute attribution over positions: how unequal they are.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Of the characters that are there.
    reduction : str
        "mean" over sequences, or "none".

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        From 0, the same on each position, to 1 - 1/positions, all on one. A sequence without any attribution
        does not count: NaN where there are no others, and where an attribution is NaN.

    Raises
    ------
    InputError
        If `attributions` has another shape or is empty.

    References
    ----------
    Hurley, N. and Rickard, S. (2009), Comparing measures of sparsity, IEEE Transactions on Information Theory 55.
    Chalasani, P. et al. (2020), Concise explanations of neural networks using adversarial training, ICML.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import attribution_gini
    >>> float(attribution_gini(torch.tensor([[0.0, 0.0, -2.0, 0.0]])))
    0.75
    """
    return reduced(gini_tally(attributions), reduction)


def gini_tally(attributions: Tensor) -> Tally:
    """Return Gini coefficients, over 1 where there is a distribution."""
    shares, counts = _distributions(attributions)
    n = shares.shape[1]
    # Of each share, by how many positions more lie below it than above.
    balance = 2 * torch.arange(1, n + 1, device=shares.device, dtype=shares.dtype) - n - 1
    return Tally((shares.sort(dim=1).values * balance).sum(dim=1) / n, counts)


def _distributions(attributions: Tensor) -> tuple[Tensor, Tensor]:
    """Return shares (sequences, positions), zeros where there is nothing, and 1 or 0: whether there is."""
    sizes = scaled(positions_of(attributions)).abs()
    totals = sizes.sum(dim=1, keepdim=True)
    shares = torch.where(totals == 0, sizes, sizes / totals)
    return shares, (totals != 0).squeeze(1).to(shares.dtype)
