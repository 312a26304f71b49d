"""Whether attributions sum to the output difference they explain, and how far they depend on the references drawn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.attribution_tracks import require_attributions, sum_over_letters
from seqlight.metrics.ratios import NAN, Tally, mean_tally, quotient, ratio_of_sums, require_choice, to_sum_dtype
from seqlight.sequence.checks import require_one_hot, require_tensor

DeltaKind = Literal["mean", "max", "relative"]
ErrorKind = Literal["absolute", "relative"]
DELTA_KINDS = ("mean", "max", "relative")
ERROR_KINDS = ("absolute", "relative")


def convergence_delta(
    attributions: Tensor, outputs: Tensor, reference_outputs: Tensor, kind: DeltaKind = "mean"
) -> Tensor:
    """Return how far the sums of attributions are from the output differences, measured by running the model.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters, averaged over references.
    outputs : torch.Tensor, shape (sequences,)
        Outputs of the model for the sequences.
    reference_outputs : torch.Tensor, shape (sequences, references)
        Outputs of the model for their references. Where a sequence has fewer references than another, the rest is
        NaN, as in an :class:`seqlight.Explanation`.
    kind : str
        "mean" and "max", over sequences, are in units of the output. "relative" is the mean gap over the mean
        absolute output difference; 0 where both are 0.

    Returns
    -------
    torch.Tensor, float64, shape ()
        0 or more. NaN where an attribution or an output is NaN.

    Raises
    ------
    InputError
        If the shapes do not match, or there is no such kind.

    References
    ----------
    Sundararajan, M., Taly, A. and Yan, Q. (2017), Axiomatic attribution for deep networks, ICML: completeness.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import convergence_delta
    >>> attributions = torch.full((1, 4, 2), 0.25)
    >>> float(convergence_delta(attributions, torch.tensor([4.0]), torch.tensor([[0.5, 1.5]])))
    1.0
    """
    tally = delta_tally(attributions, outputs, reference_outputs, kind)
    if kind == "max":
        return quotient(tally.top.amax(dim=0), tally.bottom.amax(dim=0), NAN)
    return ratio_of_sums(tally, zero_division=0.0)


def delta_tally(attributions: Tensor, outputs: Tensor, reference_outputs: Tensor, kind: DeltaKind) -> Tally:
    """Return the gap of each sequence over its output difference ("relative") or over 1; "max" takes the largest."""
    require_choice(kind, "kind", DELTA_KINDS)
    sums = sum_over_letters(attributions).sum(dim=1)
    outputs = require_tensor(outputs, "outputs")
    reference_outputs = require_tensor(reference_outputs, "reference_outputs")
    n, references = len(sums), tuple(reference_outputs.shape)
    # Otherwise a column of outputs would broadcast to the differences between all pairs.
    if outputs.shape != (n,) or len(references) != 2 or references[0] != n or not references[1]:
        raise InputError(
            f"outputs has shape {tuple(outputs.shape)} and reference_outputs {references}: "
            f"expected ({n},) and ({n}, references) for {n} attributed sequences."
        )
    differences = to_sum_dtype(outputs) - to_sum_dtype(reference_outputs).nanmean(dim=1)
    gaps = (sums - differences).abs()
    return Tally(gaps, differences.abs()) if kind == "relative" else mean_tally(gaps)


def reference_standard_error(
    attributions: Tensor, standard_error: Tensor, X: Tensor | None = None, kind: ErrorKind = "absolute"
) -> Tensor:
    """Return how uncertain attributions are because they are averaged over a few references.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters.
    standard_error : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Over references. If it has letters, as in an :class:`seqlight.Explanation`, only that of the observed
        characters is read.
    X : torch.Tensor, shape (sequences, letters, positions), optional
        The sequences, one-hot; needed if `standard_error` has letters. Without them, all positions count as known.
    kind : str
        "absolute" is the mean over all known positions, in units of the output. "relative" is that mean over the
        mean absolute attribution; 0 where both are 0. It falls as 1/sqrt(references).

    Returns
    -------
    torch.Tensor, float64, shape ()
        0 or more. NaN for a single reference, and where no position is known.

    Raises
    ------
    InputError
        If the shapes do not match, `X` is not one-hot or is missing, or there is no such kind.

    Examples
    --------
    >>> import seqlight as sl
    >>> import torch
    >>> from seqlight.metrics import reference_standard_error
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> X = sl.random_one_hot((2, 4, 20), random_state=0)
    >>> few, many = (sl.attribute(model, X, n_shuffles=n, random_state=0) for n in (5, 500))
    >>> errors = [reference_standard_error(one.attributions, one.standard_error, X) for one in (few, many)]
    >>> bool(7 < errors[0] / errors[1] < 14)  # about sqrt(500 / 5)
    True
    """
    tally = error_tally(attributions, standard_error, X, kind)
    return ratio_of_sums(tally, zero_division=0.0 if kind == "relative" else NAN)


def error_tally(attributions: Tensor, standard_error: Tensor, X: Tensor | None, kind: ErrorKind) -> Tally:
    """Return each sequence's sum of standard errors, over its known positions or its sum of absolute attributions."""
    require_choice(kind, "kind", ERROR_KINDS)
    track, errors = sum_over_letters(attributions), to_sum_dtype(require_attributions(standard_error, "standard_error"))
    shape = (len(errors), *errors.shape[-1:])
    if tuple(track.shape) != shape:
        raise InputError(
            f"attributions has shape {tuple(attributions.shape)} and standard_error {tuple(errors.shape)}: "
            "expected the same sequences and positions in both."
        )
    known = torch.ones(shape, dtype=torch.bool, device=errors.device)
    if X is not None or errors.ndim == 3:
        observed = _observed_characters(X, errors)
        known = observed.any(dim=1)
        errors = torch.where(observed, errors if errors.ndim == 3 else errors.unsqueeze(1), 0.0).sum(dim=1)
    sizes = track.abs().sum(dim=1) if kind == "relative" else to_sum_dtype(known.sum(dim=1))
    return Tally(errors.sum(dim=1), sizes)


def _observed_characters(X: Tensor | None, errors: Tensor) -> Tensor:
    """Return a mask of the observed characters; raise InputError if `X` is missing or of another shape."""
    if X is None:
        raise InputError("standard_error is of letters, and X is None: pass the sequences, to know which to read.")
    X = require_one_hot(X)
    if X.shape[0] != len(errors) or X.shape[2] != errors.shape[-1] or (errors.ndim == 3 and X.shape != errors.shape):
        raise InputError(
            f"X has shape {tuple(X.shape)} and standard_error {tuple(errors.shape)}: expected the same "
            "sequences and positions in both."
        )
    return X.to(errors.device) != 0
