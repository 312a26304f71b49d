"""Whether a model needs the positions that attributions rank highest, over batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchmetrics.utilities.plot import plot_curve

from seqlight.metrics.classes.running_ratio import RunningRatio
from seqlight.metrics.faithfulness import area_tally, curve_tally
from seqlight.metrics.perturbation import SHARES, FaithfulnessKind, Output, Plan
from seqlight.metrics.ratios import Reduction, Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class _Faithfulness(RunningRatio):
    def __init__(self, plan: Plan, **settings: Any) -> None:
        super().__init__((plan,), **settings)
        self.plan = plan

    @staticmethod
    def _tally(model: nn.Module, X: Tensor, attributions: Tensor, plan: Plan) -> Tally:
        raise NotImplementedError

    def update(self, model: nn.Module, X: Tensor, attributions: Tensor) -> None:
        """Add a batch: the model, which is given back as it was, sequences and their attributions."""
        self.add(self._tally(model, X, attributions, self.plan))


class FaithfulnessCurve(_Faithfulness):
    """:func:`seqlight.metrics.faithfulness_curve` over batches: outputs while the highest-ranked positions change.

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

    _tally = staticmethod(curve_tally)

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
        super().__init__(plan, shape=(2, len(plan.shares)), **settings)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None) -> tuple[Figure | None, Axes]:
        """Draw the two curves over the shares, of one result or of several; as :meth:`RunningMetric.plot`."""
        found = self.compute() if val is None else val
        steps = [found] if isinstance(found, Tensor) else list(found)
        suffixes = [""] if isinstance(found, Tensor) else [f", step {n}" for n in range(len(steps))]
        x = torch.tensor(self.plan.shares).expand(2 * len(steps), -1)
        names = (f"share of positions ({self.plan.kind})", "output")
        curves = (x, torch.cat(steps), x)
        figure: Any
        drawn: Any
        figure, drawn = plot_curve(curves, ax=ax, label_names=names, name=type(self).__name__)
        labels = [f"{which}{suffix}" for suffix in suffixes for which in ("positions on top", "random positions")]
        for line, label in zip(drawn.lines[-len(labels) :], labels, strict=True):
            line.set_label(label)
        drawn.legend()
        return figure, drawn


class FaithfulnessArea(_Faithfulness):
    """:func:`seqlight.metrics.faithfulness_area` over batches: how much faster outputs change than at random.

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
    _tally = staticmethod(area_tally)

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
        super().__init__(plan, reduction=reduction, zero_division=0.0, **settings)
