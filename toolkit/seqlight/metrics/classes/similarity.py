"""How similar two attributions of the same sequences are, over batches."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqlight.metrics.classes.running_ratio import RunningRatio
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

SHARES = ("sign", "top", "signed_top")


class _Comparison(RunningRatio):
    higher_is_better = True
    plot_upper_bound = 1.0
    plot_legend_name = "Sequence"
    kind: str

    @property
    def plot_lower_bound(self) -> float:  # type: ignore[override]
        """The lowest possible value: 0 for a share, -1 for a correlation."""
        return 0.0 if self.kind in SHARES else -1.0


class AttributionSimilarity(_Comparison):
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

    kind: SimilarityKind

    def __init__(self, kind: SimilarityKind = "cosine", reduction: Reduction = "mean", **settings: Any) -> None:
        require_choice(kind, "kind", SIMILARITY_KINDS)
        super().__init__((kind,), reduction=reduction, **settings)
        self.kind = kind

    def update(self, attributions: Tensor, others: Tensor) -> None:
        """Add a batch, two tensors of shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(similarity_tally(attributions, others, self.kind))


class MethodAgreement(_Comparison):
    """:func:`seqlight.metrics.method_agreement` over batches, of the same sequences in two attributions.

    Parameters
    ----------
    kind : str
        "rank_correlation", "top" or "signed_top".
    k : int
        Positions on top; not read for "rank_correlation".
    reduction, settings
        As in :class:`AttributionSimilarity`.

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

    kind: AgreementKind

    def __init__(
        self, kind: AgreementKind = "rank_correlation", k: int = 10, reduction: Reduction = "mean", **settings: Any
    ) -> None:
        require_choice(kind, "kind", AGREEMENT_KINDS)
        require_count(k, "k", least=1)
        super().__init__((kind, k), reduction=reduction, **settings)
        self.kind = kind
        self.k = k

    def update(self, attributions: Tensor, others: Tensor) -> None:
        """Add a batch, two tensors of shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(agreement_tally(attributions, others, self.kind, self.k))
