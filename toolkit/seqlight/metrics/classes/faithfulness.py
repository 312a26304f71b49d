"""Attributions against what the model gives, over batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchmetrics.utilities.plot import plot_curve

from seqlight.metrics.classes.running_ratio import RunningRatio
from seqlight.metrics.completeness import (
    DELTA_KINDS,
    ERROR_KINDS,
    DeltaKind,
    ErrorKind,
    delta_tally,
    error_tally,
)
from seqlight.metrics.faithfulness import area_tally, curve_tally
from seqlight.metrics.perturbation import SHARES, FaithfulnessKind, Output, Plan
from seqlight.metrics.ratios import NAN, Reduction, require_choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ConvergenceDelta(RunningRatio):
    """:func:`seqlight.metrics.convergence_delta` over batches: by how much attributions miss output differences.

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
        nothing = 0.0 if kind == "relative" else NAN
        super().__init__((kind,), over="max" if kind == "max" else "sum", nothing=nothing, **settings)
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
        super().__init__((kind,), nothing=0.0 if kind == "relative" else NAN, **settings)
        self.kind: ErrorKind = kind

    def update(self, attributions: Tensor, standard_error: Tensor, X: Tensor | None = None) -> None:
        """Add a batch, as :func:`seqlight.metrics.reference_standard_error` takes it."""
        self.add(error_tally(attributions, standard_error, X, self.kind))


class FaithfulnessCurve(RunningRatio):
    """:func:`seqlight.metrics.faithfulness_curve` over batches: outputs while positions on top are changed.

    Parameters
    ----------
    kind, target, shares, n_shuffles, random_state, batch_size
        As in :func:`seqlight.metrics.faithfulness_curve`.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> import seqlight as sl
    >>> import torch
    >>> from seqlight.metrics import FaithfulnessCurve
    >>> metric = FaithfulnessCurve(kind="insertion", shares=(0, 0.1, 1))
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> X = sl.random_one_hot((4, 4, 20), random_state=0)
    >>> metric.update(model, X, torch.rand(4, 20))
    >>> metric.compute().shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        kind: FaithfulnessKind = "deletion",
        target: Output = 0,
        shares: Sequence[float] = SHARES,
        n_shuffles: int = 5,
        random_state: int = 0,
        batch_size: int = 256,
        **settings: Any,
    ) -> None:
        plan = Plan(kind, target, shares, n_shuffles, random_state, batch_size)
        super().__init__((plan,), shape=(2, len(plan.shares)), **settings)
        self.plan = plan

    def update(self, model: nn.Module, X: Tensor, attributions: Tensor) -> None:
        """Add a batch: the model, which is given back as it was, sequences and their attributions."""
        self.add(curve_tally(model, X, attributions, self.plan))

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None) -> tuple[Figure | None, Axes]:
        """Draw the two curves over the shares, of one result or of several; as :meth:`RunningRatio.plot`."""
        found = self.compute() if val is None else val
        steps = [found] if isinstance(found, Tensor) else list(found)
        after = [""] if isinstance(found, Tensor) else [f", step {n}" for n in range(len(steps))]
        x = torch.tensor(self.plan.shares).expand(2 * len(steps), -1)
        names = (f"share of positions ({self.plan.kind})", "output")
        curves = (x, torch.cat(steps), x)
        figure: Any
        drawn: Any
        figure, drawn = plot_curve(curves, ax=ax, label_names=names, name=type(self).__name__)
        labels = [f"{which}{step}" for step in after for which in ("positions on top", "random positions")]
        for line, label in zip(drawn.lines[-len(labels) :], labels, strict=True):
            line.set_label(label)
        drawn.legend()
        return figure, drawn


class FaithfulnessArea(RunningRatio):
    """:func:`seqlight.metrics.faithfulness_area` over batches: how much faster positions on top change outputs.

    Parameters
    ----------
    kind, target, shares, n_shuffles, random_state, batch_size, reduction
        As in :func:`seqlight.metrics.faithfulness_area`.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> import seqlight as sl
    >>> import torch
    >>> from seqlight.metrics import FaithfulnessArea
    >>> metric = FaithfulnessArea()
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> X = sl.random_one_hot((4, 4, 20), random_state=0)
    >>> metric.update(model, X, sl.deep_lift_shap(model, X, random_state=0))
    >>> metric.compute().shape
    torch.Size([])
    """

    higher_is_better = True
    plot_legend_name = "Sequence"

    def __init__(
        self,
        kind: FaithfulnessKind = "deletion",
        target: Output = 0,
        shares: Sequence[float] = SHARES,
        n_shuffles: int = 5,
        random_state: int = 0,
        batch_size: int = 256,
        reduction: Reduction = "mean",
        **settings: Any,
    ) -> None:
        plan = Plan(kind, target, shares, n_shuffles, random_state, batch_size)
        super().__init__((plan,), reduction=reduction, nothing=0.0, **settings)
        self.plan = plan

    def update(self, model: nn.Module, X: Tensor, attributions: Tensor) -> None:
        """Add a batch: the model, which is given back as it was, sequences and their attributions."""
        self.add(area_tally(model, X, attributions, self.plan))
