"""How complete attributions are, and how uncertain, over batches."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqlight.metrics.classes.running_ratio import RunningRatio
from seqlight.metrics.completeness import (
    DELTA_KINDS,
    ERROR_KINDS,
    DeltaKind,
    ErrorKind,
    delta_tally,
    error_tally,
)
from seqlight.metrics.ratios import NAN, require_choice


class ConvergenceDelta(RunningRatio):
    """:func:`seqlight.metrics.convergence_delta` over batches: how far attributions are from output differences.

    Parameters
    ----------
    kind : str
        "mean", "max" or "relative".
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If there is no such kind.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import ConvergenceDelta
    >>> metric = ConvergenceDelta("max")
    >>> metric.update(torch.full((1, 4, 2), 0.25), torch.tensor([4.0]), torch.tensor([[0.5, 1.5]]))
    >>> float(metric.compute())
    1.0
    """

    higher_is_better = False
    plot_lower_bound = 0.0

    def __init__(self, kind: DeltaKind = "mean", **settings: Any) -> None:
        require_choice(kind, "kind", DELTA_KINDS)
        zero_division = 0.0 if kind == "relative" else NAN
        super().__init__((kind,), over="max" if kind == "max" else "sum", zero_division=zero_division, **settings)
        self.kind: DeltaKind = kind

    def update(self, attributions: Tensor, outputs: Tensor, reference_outputs: Tensor) -> None:
        """Add a batch, as :func:`seqlight.metrics.convergence_delta` takes it."""
        self.add(delta_tally(attributions, outputs, reference_outputs, self.kind))


class ReferenceStandardError(RunningRatio):
    """:func:`seqlight.metrics.reference_standard_error` over batches: how uncertain references leave attributions.

    Parameters
    ----------
    kind : str
        "absolute" or "relative".
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If there is no such kind.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import ReferenceStandardError
    >>> metric = ReferenceStandardError("relative")
    >>> X = torch.tensor([[[1, 0], [0, 1]]])
    >>> metric.update(2.0 * X, torch.full((1, 2, 2), 0.5), X)
    >>> float(metric.compute())
    0.25
    """

    higher_is_better = False
    plot_lower_bound = 0.0

    def __init__(self, kind: ErrorKind = "absolute", **settings: Any) -> None:
        require_choice(kind, "kind", ERROR_KINDS)
        super().__init__((kind,), zero_division=0.0 if kind == "relative" else NAN, **settings)
        self.kind: ErrorKind = kind

    def update(self, attributions: Tensor, standard_error: Tensor, X: Tensor | None = None) -> None:
        """Add a batch, as :func:`seqlight.metrics.reference_standard_error` takes it."""
        self.add(error_tally(attributions, standard_error, X, self.kind))
