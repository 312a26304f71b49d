"""How concentrated an attribution is: the absolute attribution over positions, read as a distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.metrics.attribution_tracks import divide_by_largest, sum_over_letters
from seqlight.metrics.ratios import Reduction, Tally, reduce_tally


def attribution_entropy(attributions: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the Shannon entropy of the absolute attribution over positions, in nats.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters.
    reduction : str
        "mean" over sequences, or "none".

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        From 0, all on one position, to log(positions), the same on each. A sequence without any attribution has
        no entropy and does not count: NaN if there are no others. NaN where an attribution is NaN.

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
    return reduce_tally(entropy_tally(attributions), reduction)


def entropy_tally(attributions: Tensor) -> Tally:
    """Return the entropy of each sequence, over 1 where it has any attribution and 0 where not."""
    shares, counts = _distributions(attributions)
    return Tally(torch.special.entr(shares).sum(dim=1), counts)


def effective_positions(attributions: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return on how many positions an attribution rests: as many equal ones would have the same entropy.

    Parameters
    ----------
    attributions, reduction
        As in :func:`attribution_entropy`.

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        The exponential of each sequence's entropy: 1 to the number of positions. A sequence without any
        attribution does not count: NaN if there are no others. NaN where an attribution is NaN.

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
    return reduce_tally(positions_tally(attributions), reduction)


def positions_tally(attributions: Tensor) -> Tally:
    """Return the effective positions of each sequence, over 1 where it has any attribution and 0 where not."""
    entropies, counts = entropy_tally(attributions)
    return Tally(entropies.exp() * counts, counts)


def attribution_gini(attributions: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the Gini coefficient of the absolute attribution: how unequal positions are.

    Parameters
    ----------
    attributions, reduction
        As in :func:`attribution_entropy`.

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        From 0, the same on each position, to 1 - 1/positions, all on one. A sequence without any attribution
        does not count: NaN if there are no others. NaN where an attribution is NaN.

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
    return reduce_tally(gini_tally(attributions), reduction)


def gini_tally(attributions: Tensor) -> Tally:
    """Return the Gini coefficient of each sequence, over 1 where it has any attribution and 0 where not."""
    shares, counts = _distributions(attributions)
    n = shares.shape[1]
    # For each share in order: the number of positions below it, minus that above.
    balance = 2 * torch.arange(1, n + 1, device=shares.device, dtype=shares.dtype) - n - 1
    return Tally((shares.sort(dim=1).values * balance).sum(dim=1) / n, counts)


def _distributions(attributions: Tensor) -> tuple[Tensor, Tensor]:
    """Return each position's share of its sequence, and 1 or 0: whether the sequence has any attribution."""
    sizes = divide_by_largest(sum_over_letters(attributions)).abs()
    totals = sizes.sum(dim=1, keepdim=True)
    shares = torch.where(totals == 0, sizes, sizes / totals)
    return shares, (totals != 0).squeeze(1).to(shares.dtype)
