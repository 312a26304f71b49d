"""Whether a model needs the positions that an attribution ranks highest: delete them, or insert only them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlight.metrics.perturbation import SHARES, FaithfulnessKind, Output, Plan, perturbed_outputs
from seqlight.metrics.ratios import Reduction, Tally, mean_tally, ratio_of_sums, reduce_tally
from seqlight.sequence.checks import require_one_hot


def faithfulness_curve(
    model: nn.Module,
    X: Tensor,
    attributions: Tensor,
    kind: FaithfulnessKind = "deletion",
    target: Output = 0,
    shares: Sequence[float] = SHARES,
    n_shuffles: int = 5,
    random_state: int = 0,
    batch_size: int = 256,
) -> Tensor:
    """Return the model's output while more and more of the highest-ranked positions are deleted, or inserted.

    Deleted positions get the letters of a dinucleotide-shuffled version of the same sequence; inserted ones get
    their own letters within such a version. The same is done with as many random positions. What is drawn
    depends only on the sequence and on `random_state`, not on batches or processes.

    Parameters
    ----------
    model : torch.nn.Module
        Runs where it is, in evaluation mode, and is given back as it was.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters; the largest rank highest, and of equal ones the first.
    kind : str
        "deletion" or "insertion".
    target : int or callable
        The output that is attributed: a column of (sequences, outputs), or a function that turns the model's
        output into a tensor of shape (sequences,).
    shares : sequence of float
        Which shares of the positions to change, rising from 0 to 1.
    n_shuffles : int
        Shuffled versions of each sequence, each with its own random positions; outputs are averaged over them.
    random_state : int
        The seed.
    batch_size : int
        How many sequences the model gets at a time.

    Returns
    -------
    torch.Tensor, float64, shape (2, shares)
        The mean output over sequences for the highest-ranked positions, and for random ones. NaN where an
        attribution is NaN.

    Raises
    ------
    InputError
        If shapes do not match, `shares` do not rise from 0 to 1, or all shuffles of a sequence are the same.

    References
    ----------
    Samek, W. et al. (2017), Evaluating the visualization of what a deep neural network has learned, IEEE
    Transactions on Neural Networks and Learning Systems 28: deletion, against random orders.
    Petsiuk, V., Das, A. and Saenko, K. (2018), RISE: randomized input sampling for explanation of black-box
    models, BMVC: deletion and insertion, and their areas.

    Examples
    --------
    >>> import seqlight as sl
    >>> import torch
    >>> from seqlight.metrics import faithfulness_curve
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> X = sl.random_one_hot((4, 4, 20), random_state=0)
    >>> faithfulness_curve(model, X, sl.deep_lift_shap(model, X, random_state=0), shares=(0, 0.1, 1)).shape
    torch.Size([2, 3])
    """
    plan = Plan(kind, target, shares, n_shuffles, random_state, batch_size)
    return ratio_of_sums(curve_tally(model, X, attributions, plan))


def curve_tally(model: nn.Module, X: Tensor, attributions: Tensor, plan: Plan) -> Tally:
    """Return the two curves of each sequence, over 1."""
    return mean_tally(perturbed_outputs(model, X, attributions, plan))


def faithfulness_area(
    model: nn.Module,
    X: Tensor,
    attributions: Tensor,
    kind: FaithfulnessKind = "deletion",
    target: Output = 0,
    shares: Sequence[float] = SHARES,
    n_shuffles: int = 5,
    random_state: int = 0,
    batch_size: int = 256,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return how much faster the highest-ranked positions change the model's output than random ones do.

    That is the area between the two curves of :func:`faithfulness_curve`, over the output that there is to lose:
    the mean absolute difference between the outputs of a sequence and of its shuffled versions.

    Parameters
    ----------
    model, X, attributions, kind, target, shares, n_shuffles, random_state, batch_size
        As in :func:`faithfulness_curve`.
    reduction : str
        "mean" for all sequences together, or "none" for each.

    Returns
    -------
    torch.Tensor, float64, shape () or (sequences,)
        The larger, the more faithful, for both kinds; 0 for random positions, and where there is nothing to
        lose. Mostly between -1 and 1. NaN where an attribution is NaN.

    Raises
    ------
    InputError
        As in :func:`faithfulness_curve`.

    Examples
    --------
    >>> import seqlight as sl
    >>> import torch
    >>> from seqlight.metrics import faithfulness_area
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> X = sl.random_one_hot((50, 4, 20), random_state=0)
    >>> attributions = sl.deep_lift_shap(model, X, random_state=0)
    >>> bool(faithfulness_area(model, X, attributions) > 0 > faithfulness_area(model, X, -attributions))
    True
    """
    plan = Plan(kind, target, shares, n_shuffles, random_state, batch_size)
    return reduce_tally(area_tally(model, X, attributions, plan), reduction, zero_division=0.0)


def area_tally(model: nn.Module, X: Tensor, attributions: Tensor, plan: Plan) -> Tally:
    """Return the area between the curves of each sequence, over the output that there is to lose."""
    positions = require_one_hot(X).shape[2]
    outputs = perturbed_outputs(model, X, attributions, plan)
    top, random = outputs.unbind(1)
    steps = torch.tensor(plan.counts(positions), dtype=outputs.dtype, device=outputs.device) / positions
    gained = random - top if plan.kind == "deletion" else top - random
    return Tally(torch.trapezoid(gained, steps, dim=1), (random[:, 0] - random[:, -1]).abs())
