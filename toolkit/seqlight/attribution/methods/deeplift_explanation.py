"""DeepLIFT/SHAP as a full Explanation: several targets, errors, and as many references as each sequence needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqlight.attribution.arguments import check_arguments
from seqlight.attribution.convergence import ConvergenceCheck, DeltaPolicy
from seqlight.attribution.engine.layer_contributions import LayerReduction
from seqlight.attribution.engine.layer_taps import LayerTaps
from seqlight.attribution.ensemble_explainer import make_explainer
from seqlight.attribution.explanation import Explanation
from seqlight.attribution.explanation_builder import build_explanation
from seqlight.attribution.layer_explainer import LayerExplainer, Layers, make_taps
from seqlight.attribution.reference_count import ReferenceSampler
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Target


def attribute(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    *,
    batch_size: AskedBatchSize = "auto",
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    n_shuffles: int | Literal["auto"] = 20,
    tolerance: float = 0.1,
    max_shuffles: int = 200,
    multipliers: bool = False,
    keep_references: bool = True,
    layers: Layers | None = None,
    reduce: LayerReduction | None = None,
    deltas: DeltaPolicy = "warn",
    warning_threshold: float = 0.001,
    additional_nonlinear_ops: Mapping[Any, Callable[..., Any]] | None = None,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    precision: Precision = None,
    random_state: int | None = None,
    verbose: bool = False,
) -> Explanation:
    """Attribute outputs of a model to the characters of each sequence, and say how accurate the attributions are.

    The attributions of :func:`seqlight.deep_lift_shap`, for several targets in one pass over the model, together with
    everything that is known of them.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``. Of a :class:`seqlight.Ensemble` the spread between its members is told, too.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; its references get the same row.
    target : int, tuple of int, torch.Tensor, callable, Contrast, str, or list of these
        What to explain. An int is a column of the output; a tuple, such as ``(channel, position)``, a place in an
        output of more dimensions; a tensor of integers has the column for each sequence; a function turns what the
        model returns into a number for each row, and is explained with the model; ``Contrast(a, b)`` is the difference
        of two targets. Those used most, such as counts and profiles, have names: see :mod:`seqlight.targets`; a
        text, such as ``"counts(head=1)"``, stands for one of them. A list explains each of its targets, and gives the
        results a second dimension, of targets.
    batch_size : int or "auto"
        Pairs of a sequence and a reference per batch, as in :func:`seqlight.deep_lift_shap`. It does not change the
        result.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        What to compare with, as in :func:`seqlight.deep_lift_shap`.
    n_shuffles : int or "auto"
        References per sequence, if `references` is a function. With "auto" each sequence gets ten references at a time,
        until its attributions are known well enough.
    tolerance : float
        With "auto": they are known well enough when, over the characters of a sequence, the root mean square of the
        standard error is at most this share of that of the attribution, for each target.
    max_shuffles : int
        With "auto": the most references that a sequence gets. Sequences that would need more cause a warning.
    multipliers : bool
        Keep the multipliers of each reference.
    keep_references : bool
        Keep the references.
    layers : list of str, or True, optional
        Keep what the outputs of these modules contribute, as ``Explanation.layers``; names are those of
        ``model.named_modules()``. True keeps the sum for each pair alone, but of all modules: see
        :attr:`seqlight.Explanation.ledger`.
    reduce : callable, optional
        What to keep of the contributions of a module: a function of a tensor (pairs, channels, positions), or whatever
        the module returns, with the pairs as its first dimension. Its result is averaged over references.
    deltas : "warn", "raise" or "ignore"
        What to do if attributions do not sum to the output difference.
    warning_threshold : float
        By how much they may differ from it; more than 1 % of the mean output difference is too much as well. At the
        default, what rounding does to outputs of that size does not count.
    additional_nonlinear_ops, dtype, device, precision, random_state, verbose
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
    OutOfMemory
        If the device has not enough memory for a single pair.
    UnsupportedOperation
        If the model contains an operation that no rule covers; the message names it and its module.

    Warns
    -----
    ConvergenceWarning
        If attributions do not sum to the output difference.
    MemoryWarning
        If fewer pairs at a time fit into memory than `batch_size`.
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
    checked = check_arguments(model, X, args, batch_size, dtype, device, precision)
    X, targets = checked.X, Targets(target, len(checked.X))
    drawn = References(references, X, _most_references(n_shuffles, max_shuffles), random_state)
    sampler = ReferenceSampler(drawn, _require_share(tolerance) if isinstance(n_shuffles, str) else None)
    check = ConvergenceCheck(warning_threshold, deltas)
    taps = _make_taps(model, layers, reduce)
    given = model, (X,), checked.args, targets, checked.size
    explainer = make_explainer(*given) if taps is None else LayerExplainer(*given, taps)
    with (
        hold_precision(checked.precision, checked.device),
        explainer.borrow_model(checked.dtype, additional_nonlinear_ops),
    ):
        found = build_explanation(
            "attribute", explainer, sampler, targets, check, multipliers, keep_references, verbose, taps=taps
        )  # fmt: skip
    checked.size.warn_if_reduced(stacklevel=2)
    check.warn_if_incomplete(explainer, additional_nonlinear_ops)
    sampler.warn_if_uncertain()
    drawn.warn_if_unchanged()
    return found


def _make_taps(model: nn.Module, layers: Layers | None, reduce: LayerReduction | None) -> LayerTaps | None:
    """Return what reads the contributions of layers, if there are any to read."""
    if layers is None or layers is False:
        if reduce is not None:
            raise InputError("reduce is given without layers: name modules in layers.")
        return None
    return make_taps(model, layers, reduce)


def _most_references(n_shuffles: int | str, max_shuffles: int) -> int:
    """Return how many references a sequence gets at most."""
    if isinstance(n_shuffles, str):
        if n_shuffles != "auto":
            raise InputError(f"n_shuffles is {n_shuffles!r}: expected a number or 'auto'.")
        return require_count(max_shuffles, "max_shuffles", least=2)
    return require_count(n_shuffles, "n_shuffles", least=1)


def _require_share(tolerance: float) -> float:
    if not 0 < tolerance < float("inf"):
        raise InputError(f"tolerance is {tolerance}: expected a positive number, such as 0.1.")
    return tolerance
