"""How consistent attribution maps are as a whole, over batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from seqlight.metrics.classes.running_metric import RunningMetric
from seqlight.metrics.consistency import BASES, Basis, require_share, vector_consistency, window_vectors
from seqlight.metrics.kmer_frequencies import kmer_divergence, kmer_tally
from seqlight.metrics.ratios import NAN, require_choice, sum_dtype
from seqlight.sequence.checks import require_count


class AttributionConsistency(RunningMetric):
    """:func:`seqlight.metrics.attribution_consistency` over batches: how far directions of attributions cluster.

    It keeps three numbers for each position of every batch, as the longest vectors are those of all batches together.

    Parameters
    ----------
    k, share, basis
        As in :func:`seqlight.metrics.attribution_consistency`.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If there is no such `k`, `share` or `basis`.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import AttributionConsistency, attribution_consistency
    >>> maps = torch.randn(20, 4, 50, generator=torch.Generator().manual_seed(0))
    >>> metric = AttributionConsistency()
    >>> for batch in maps.split(8):
    ...     metric.update(batch)
    >>> bool(metric.compute() == attribution_consistency(maps))
    True
    """

    higher_is_better = True
    vectors: Tensor | list[Tensor]

    def __init__(self, k: int = 3, share: float = 0.1, basis: Basis = "orthonormal", **settings: Any) -> None:
        require_choice(basis, "basis", BASES)
        require_count(k, "k", least=1)
        super().__init__((k, require_share(share), basis), **settings)
        self.k, self.share = k, share
        self.basis: Basis = basis
        # Flat, since a process without batches sends a tensor of one dimension.
        self.add_state("vectors", [], dist_reduce_fx="cat")

    def update(self, attributions: Tensor) -> None:
        """Add a batch of attributions, shape (sequences, 4, positions)."""
        vectors = window_vectors(attributions, self.k, self.basis)
        assert isinstance(self.vectors, list)
        self.vectors.append(vectors.to(device=self.device, dtype=sum_dtype(self.device)).flatten())

    def compute(self) -> Tensor:
        """Return the consistency of all batches so far."""
        empty = torch.zeros(0, dtype=sum_dtype(self.device), device=self.device)
        vectors = dim_zero_cat(self.vectors) if len(self.vectors) else empty
        return vector_consistency(vectors.view(-1, 3), self.share)


class KmerConsistency(RunningMetric):
    """:func:`seqlight.metrics.kmer_consistency` over batches: how special the k-mers under high attribution are.

    Parameters
    ----------
    k, share
        As in :func:`seqlight.metrics.kmer_consistency`.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If there is no such `k` or `share`; from :meth:`update`, if there are too many k-mers.

    Examples
    --------
    >>> import seqlight as sl
    >>> import torch
    >>> from seqlight.metrics import KmerConsistency
    >>> X = sl.random_one_hot((20, 4, 50), random_state=0)
    >>> metric = KmerConsistency()
    >>> metric.update(torch.rand(20, 50), X)
    >>> metric.compute().shape
    torch.Size([])
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    letters: Tensor
    selected: Tensor | list[Tensor]
    every: Tensor | list[Tensor]

    def __init__(self, k: int = 3, share: float = 0.1, **settings: Any) -> None:
        super().__init__((require_count(k, "k", least=1), require_share(share)), **settings)
        self.k, self.share = k, share
        # Lists, as the number of letters is that of the first batch, and a process may have none.
        self.add_state("letters", torch.tensor(0), dist_reduce_fx="max")
        for name in ("selected", "every"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, attributions: Tensor, X: Tensor) -> None:
        """Add a batch: attributions, and the one-hot sequences, of shape (sequences, letters, positions)."""
        tally = kmer_tally(attributions, X, self.k, self.share)
        self.letters = torch.full_like(self.letters, X.shape[1])
        for counts, new in zip((self.selected, self.every), tally, strict=True):
            assert isinstance(counts, list)
            moved = new.flatten().to(device=self.device, dtype=sum_dtype(self.device))
            counts[:] = [counts[0] + moved] if len(counts) == 1 else [*counts, moved]

    def compute(self) -> Tensor:
        """Return the divergence of the k-mers of all batches so far."""
        n = int(self.letters) ** self.k
        if not n:
            return torch.tensor(NAN, dtype=sum_dtype(self.device), device=self.device)
        selected, every = (dim_zero_cat(one).view(-1, n).sum(dim=0) for one in (self.selected, self.every))
        return kmer_divergence(selected, every)
