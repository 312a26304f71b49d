"""The sampler that decides in which order training sees its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DistributedSampler

from seqlight.datasets.batched_dataset import BatchedDataset
from seqlight.errors import InputError, kind_of


class TrainingOrder(DistributedSampler[Any]):
    """Every row once per epoch, in an order that depends only on the seed and the epoch.

    From a dataset that augments, such as `GenomeDataset` with jitter, it draws pairs of row and epoch, so that workers
    that outlive an epoch know which it is. Call ``set_epoch`` before each epoch; a Lightning Trainer does. With several
    processes each takes its share, and a few rows are repeated to make the shares even.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Map-style.
    seed : int
        The seed of the order.
    rank, world : int
        The number of this process, and how many there are.

    Raises
    ------
    InputError
        If a dataset that augments is wrapped in another, such as a Subset.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader
    >>> from seqlight.datasets import ArrayDataset, TrainingOrder
    >>> dataset = ArrayDataset(torch.arange(5))
    >>> loader = DataLoader(dataset, batch_size=2, sampler=TrainingOrder(dataset, seed=1))
    >>> sorted(int(x) for batch in loader for x in batch)
    [0, 1, 2, 3, 4]
    """

    def __init__(self, dataset: Any, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        inside = [getattr(dataset, "dataset", None), *getattr(dataset, "datasets", ())]
        if any(isinstance(one, BatchedDataset) and one.augments for one in inside):
            raise InputError(
                f"the dataset is {kind_of(dataset)} of one that augments, and would hide the epoch from it: make "
                "one of the rows that you want, such as GenomeDataset(genome, dataset.regions.iloc[rows], ...)."
            )
        super().__init__(dataset, world, rank, shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[Any]:
        """Yield rows, or pairs of row and epoch."""
        rows = super().__iter__()
        if isinstance(self.dataset, BatchedDataset) and self.dataset.augments:
            return zip(rows, itertools.repeat(self.epoch), strict=False)
        return rows
