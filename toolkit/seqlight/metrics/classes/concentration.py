"""How concentrated attributions are, over batches."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqlight.metrics.classes.running_ratio import RunningRatio
from seqlight.metrics.concentration import entropy_tally, gini_tally, positions_tally
from seqlight.metrics.ratios import Reduction, Tally


class _Concentration(RunningRatio):
    plot_lower_bound = 0.0
    plot_legend_name = "Sequence"

    def __init__(self, reduction: Reduction = "mean", **settings: Any) -> None:
        super().__init__(reduction=reduction, **settings)

    @staticmethod
    def _tally(attributions: Tensor) -> Tally:
        raise NotImplementedError

    def update(self, attributions: Tensor) -> None:
        """Add a batch, shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(self._tally(attributions))


class AttributionEntropy(_Concentration):
    """:func:`seqlight.metrics.attribution_entropy` over batches: the entropy over positions, in nats.

    Parameters
    ----------
    reduction : str
        "mean" over sequences, or "none".
    settings
        As in ``torchmetrics.Metric``.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import AttributionEntropy
    >>> metric = AttributionEntropy()
    >>> metric.update(torch.tensor([[1.0, -1.0, 1.0, 1.0]]))
    >>> metric.update(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    >>> round(float(metric.compute()), 4)  # log(4) / 2
    0.6931
    """

    _tally = staticmethod(entropy_tally)


class EffectivePositions(_Concentration):
    """:func:`seqlight.metrics.effective_positions` over batches: on how many positions attributions rest.

    Parameters
    ----------
    reduction, settings
        As in :class:`AttributionEntropy`.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import EffectivePositions
    >>> metric = EffectivePositions()
    >>> metric.update(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    >>> float(metric.compute())
    1.0
    """

    plot_lower_bound = 1.0
    _tally = staticmethod(positions_tally)


class AttributionGini(_Concentration):
    """:func:`seqlight.metrics.attribution_gini` over batches: how unequal positions are.

    Parameters
    ----------
    reduction, settings
        As in :class:`AttributionEntropy`.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import AttributionGini
    >>> metric = AttributionGini()
    >>> metric.update(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    >>> float(metric.compute())
    0.75
    """

    plot_upper_bound = 1.0
    _tally = staticmethod(gini_tally)
