"""The spread of an ensemble: by how much its members disagree, in all and by folds, strands and shifts."""

from __future__ import annotations

import torch
from torch import Tensor

# What members differ in, and the dimension of each in their contributions.
FACTORS = {"spread_over_folds": 2, "spread_over_strands": 3, "spread_over_shifts": 4}
SPREAD = ("spread", *FACTORS)
# How many numbers are taken at a time.
MOST_NUMBERS = 2**23


def spread_of_members(members: Tensor | None) -> dict[str, Tensor | None]:
    """Return the standard deviations over members, by the fields of an Explanation; None where nothing varies.

    The spread over folds is that of the means over strands and shifts of each fold, and so on: the main effects of an
    analysis of variance with two levels or more each. Their squares sum to at most the square of the spread over all
    members; what is left are interactions.

    Parameters
    ----------
    members : torch.Tensor or None, shape (sequences, targets, folds, strands, shifts, letters, positions)
        The contributions of each member; None without an ensemble.

    Returns
    -------
    dict
        From ``spread`` and the names in FACTORS to tensors of shape (sequences, targets, letters, positions), each the
        root of the mean squared distance from the mean.

    Examples
    --------
    >>> import torch
    >>> folds = torch.tensor([1.0, 3.0]).view(1, 1, 2, 1, 1, 1, 1)
    >>> found = spread_of_members(folds)
    >>> found["spread"].item(), found["spread_over_folds"].item(), found["spread_over_strands"]
    (1.0, 1.0, None)
    """
    if members is None or members.shape[2:5].numel() < 2:
        return dict.fromkeys(SPREAD)
    # Few sequences at a time, because all members in float64 would take several times the memory of all else.
    parts = [_spread(some) for some in torch.split(members, max(1, MOST_NUMBERS // members[0].numel()))]
    several = [name for name in SPREAD if name == "spread" or members.shape[FACTORS[name]] > 1]
    return dict.fromkeys(SPREAD) | {name: torch.cat([one[name] for one in parts]) for name in several}


def _spread(members: Tensor) -> dict[str, Tensor]:
    """Return the standard deviation over all members, and over those of each factor."""
    exact = members.double()
    means = {"spread": exact}
    for name, dim in FACTORS.items():
        means[name] = exact.mean(dim=[one for one in FACTORS.values() if one != dim], keepdim=True)
    return {name: one.std(dim=(2, 3, 4), correction=0).to(members.dtype) for name, one in means.items()}
