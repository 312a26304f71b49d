"""Concentration and likeness of attributions, over batches."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqlight.metrics.classes.running_ratio import RunningRatio
from seqlight.metrics.concentration import entropy_tally, gini_tally, positions_tally
from seqlight.metrics.ratios import Reduction, require_choice
from seqlight.metrics.similarity import (
    AGREEMENT_KINDS,
    SIMILARITY_KINDS,
    AgreementKind,
    SimilarityKind,
    agreement_tally,
    similarity_tally,
)
from seqlight.sequence.checks import require_count


class AttributionEntropy(RunningRatio):
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

    plot_lower_bound = 0.0
    plot_legend_name = "Sequence"

    def __init__(self, reduction: Reduction = "mean", **settings: Any) -> None:
        super().__init__(reduction=reduction, **settings)

    def update(self, attributions: Tensor) -> None:
        """Add a batch, shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(entropy_tally(attributions))


class EffectivePositions(RunningRatio):
    """:func:`seqlight.metrics.effective_positions` over batches: on how many positions attributions rest.

    Parameters
    ----------
    reduction : str
        "mean" over sequences, or "none".
    settings
        As in ``torchmetrics.Metric``.

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
    plot_legend_name = "Sequence"

    def __init__(self, reduction: Reduction = "mean", **settings: Any) -> None:
        super().__init__(reduction=reduction, **settings)

    def update(self, attributions: Tensor) -> None:
        """Add a batch, shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(positions_tally(attributions))


class AttributionGini(RunningRatio):
    """:func:`seqlight.metrics.attribution_gini` over batches: how unequal positions are.

    Parameters
    ----------
    reduction : str
        "mean" over sequences, or "none".
    settings
        As in ``torchmetrics.Metric``.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import AttributionGini
    >>> metric = AttributionGini()
    >>> metric.update(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
    >>> float(metric.compute())
    0.75
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Sequence"

    def __init__(self, reduction: Reduction = "mean", **settings: Any) -> None:
        super().__init__(reduction=reduction, **settings)

    def update(self, attributions: Tensor) -> None:
        """Add a batch, shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(gini_tally(attributions))


class AttributionSimilarity(RunningRatio):
    """:func:`seqlight.metrics.attribution_similarity` over batches, of the same sequences in two attributions.

    Parameters
    ----------
    kind : str
        "cosine", "pearson" or "sign".
    reduction : str
        "mean" over sequences, or "none".
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If there is no such kind.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import AttributionSimilarity
    >>> metric = AttributionSimilarity("sign")
    >>> metric.update(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -3.0]]))
    >>> float(metric.compute())
    0.5
    """

    higher_is_better = True
    plot_upper_bound = 1.0
    plot_legend_name = "Sequence"

    def __init__(self, kind: SimilarityKind = "cosine", reduction: Reduction = "mean", **settings: Any) -> None:
        require_choice(kind, "kind", SIMILARITY_KINDS)
        super().__init__((kind,), reduction=reduction, **settings)
        self.kind: SimilarityKind = kind

    @property
    def plot_lower_bound(self) -> float:  # type: ignore[override]
        """The least that it can be: shares are 0, correlations -1."""
        return 0.0 if self.kind == "sign" else -1.0

    def update(self, attributions: Tensor, others: Tensor) -> None:
        """Add a batch, two tensors of shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(similarity_tally(attributions, others, self.kind))


class MethodAgreement(RunningRatio):
    """:func:`seqlight.metrics.method_agreement` over batches, of the same sequences in two attributions.

    Parameters
    ----------
    kind : str
        "rank_correlation", "top" or "signed_top".
    k : int
        Positions on top; not read for "rank_correlation".
    reduction : str
        "mean" over sequences, or "none".
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If there is no such kind, or `k` is below 1.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import MethodAgreement
    >>> metric = MethodAgreement("top", k=1)
    >>> metric.update(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -5.0]]))
    >>> float(metric.compute())
    1.0
    """

    higher_is_better = True
    plot_upper_bound = 1.0
    plot_legend_name = "Sequence"

    def __init__(
        self, kind: AgreementKind = "rank_correlation", k: int = 10, reduction: Reduction = "mean", **settings: Any
    ) -> None:
        require_choice(kind, "kind", AGREEMENT_KINDS)
        require_count(k, "k", least=1)
        super().__init__((kind, k), reduction=reduction, **settings)
        self.kind: AgreementKind = kind
        self.k = k

    @property
    def plot_lower_bound(self) -> float:  # type: ignore[override]
        """The least that it can be: shares are 0, correlations -1."""
        return 0.0 if self.kind != "rank_correlation" else -1.0

    def update(self, attributions: Tensor, others: Tensor) -> None:
        """Add a batch, two tensors of shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(agreement_tally(attributions, others, self.kind, self.k))
