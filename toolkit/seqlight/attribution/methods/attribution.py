"""DeepLIFT/SHAP with everything that is known of it: several targets, errors, and as many references as it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqlight.attribution.contributions import Misses, Policy
from seqlight.attribution.convergence import miss_in_float64
from seqlight.attribution.explainer import Explaining
from seqlight.attribution.explanation import Explanation
from seqlight.attribution.explanation_builder import explanation
from seqlight.attribution.reference_sampling import Sampling
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Target, Targets
from seqlight.errors import InputError
from seqlight.prediction.arguments import as_dtype, choose_device, require_inputs
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle


def attribute(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    *,
    batch_size: int = 32,
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    n_shuffles: int | Literal["auto"] = 20,
    tolerance: float = 0.1,
    max_shuffles: int = 200,
    multipliers: bool = False,
    keep_references: bool = True,
    deltas: Policy = "warn",
    warning_threshold: float = 0.001,
    additional_nonlinear_ops: Mapping[Any, Callable[..., Any]] | None = None,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    random_state: int | None = None,
    verbose: bool = False,
) -> Explanation:
    """Attribute outputs of a model to the characters of each sequence, and say how well that holds.

    The same as :func:`seqlight.deep_lift_shap`, with several targets from one pass over the model, and with all
    that is known beside the attributions.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; the references get the same.
    target : int, tuple of int, torch.Tensor, callable, Contrast, or list of these
        What to explain: a column of the output; a place in an output of more dimensions, ``(channel, position)``; a
        tensor of integers, the column for each sequence; a function that turns what the model returns into a number
        for each row, which is explained with the model; ``Contrast(a, b)``, the difference of two targets. A list
        explains each of them, and gives the results a second dimension.
    batch_size : int
        Pairs of a sequence and a reference at a time. It does not change the result.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        As in :func:`seqlight.deep_lift_shap`.
    n_shuffles : int or "auto"
        References a sequence, where they come from a function. With "auto" each sequence gets ten, and ten more,
        until it is known well enough.
    tolerance : float
        With "auto": well enough is where, over the characters of a sequence, the root mean square of the standard
        error is at most this share of that of the attribution, for each target.
    max_shuffles : int
        With "auto": the most references a sequence gets. More would be needed for those of which it is warned.
    multipliers : bool
        Keep the multipliers of each reference.
    keep_references : bool
        Keep the references.
    deltas : "warn", "raise" or "ignore"
        What to do where attributions do not sum to the output difference.
    warning_threshold : float
        By how much they may miss it; more than 1 % of the mean difference is too much as well. At the default,
        what rounding does to outputs of that size counts as nothing.
    additional_nonlinear_ops, dtype, device, random_state, verbose
        As in :func:`seqlight.deep_lift_shap`.

    Returns
    -------
    Explanation
        On the CPU.

    Raises
    ------
    InputError
        If an argument cannot be used.
    ConvergenceError
        If attributions do not sum to the output difference and `deltas` is "raise".
    UnsupportedOperation
        If the model contains an operation that no rule explains; the message names it and its module.

    Warns
    -----
    ConvergenceWarning
        If attributions do not sum to the output difference.
    ReferencesWarning
        If `max_shuffles` references were not enough, or a sequence is equal to all of its references.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3), torch.nn.Softmax(dim=1))
    >>> found = sl.attribute(model, sl.random_one_hot((2, 4, 20)), target=sl.Contrast(0, 1), random_state=0)
    >>> bool((found.attributions.sum(dim=(1, 2)) - found.differences).abs().max() < 1e-6)
    True
    """
    X, inputs = require_inputs(X, args)
    auto = isinstance(n_shuffles, str)
    drawn = References(references, X, _most(n_shuffles, max_shuffles), random_state)
    sampling = Sampling(drawn, _require_share(tolerance) if auto else None)
    targets, misses = Targets(target, len(X)), Misses(warning_threshold, deltas)
    size = require_count(batch_size, "batch_size", least=1)
    job = Explaining(model, (X,), inputs, targets, size, choose_device(device))
    with job.running(as_dtype(dtype), additional_nonlinear_ops):
        found = explanation("attribute", job, sampling, targets, misses, multipliers, keep_references, verbose)
    misses.tell(in_float64=lambda of: miss_in_float64(job, of, additional_nonlinear_ops))
    sampling.tell()
    drawn.tell()
    return found


def _most(n_shuffles: int | str, max_shuffles: int) -> int:
    if isinstance(n_shuffles, str):
        if n_shuffles != "auto":
            raise InputError(f"n_shuffles is {n_shuffles!r}: expected a number or 'auto'.")
        return require_count(max_shuffles, "max_shuffles", least=2)
    return require_count(n_shuffles, "n_shuffles", least=1)


def _require_share(tolerance: float) -> float:
    if not 0 < tolerance < float("inf"):
        raise InputError(f"tolerance is {tolerance}: expected a positive share, such as 0.1.")
    return tolerance
