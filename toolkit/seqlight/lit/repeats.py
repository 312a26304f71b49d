"""Rows that several processes get twice, so that all have as many: which of a batch are a process's own."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.data import DistributedSampler


def rows_of_its_own(trainer: L.Trainer | None, seen: int, rows: int) -> int:
    """Return how many rows of a batch of validation or test are no repeats, which are its last ones.

    A DistributedSampler, which a Trainer puts into a DataLoader that has none, begins again with the first rows where
    the number of processes does not divide that of the rows.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer, optional
        Which is in that loop. Without one, all rows are.
    seen : int
        Rows of the batches before it, in this process.
    rows : int
        Of the batch.
    """
    if trainer is None:
        return rows
    loops = {
        "fit": trainer.fit_loop.epoch_loop.val_loop,
        "validate": trainer.validate_loop,
        "test": trainer.test_loop,
    }
    # The Trainer's own property has the loader of fit also in a validation that comes after.
    combined = getattr(loops.get(getattr(trainer.state.fn, "value", "")), "_combined_loader", None)
    loaders = combined.flattened if combined is not None else []
    sampler = getattr(loaders[0], "sampler", None) if len(loaders) == 1 else None
    own = rows_in_it_once(sampler) if isinstance(sampler, DistributedSampler) else None
    return rows if own is None else max(0, min(rows, own - seen))


def rows_in_it_once(sampler: DistributedSampler[Any]) -> int | None:
    """Return how many of the first rows of a sampler are no repeats; None if all are.

    Examples
    --------
    >>> sampler = DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False)
    >>> list(sampler), rows_in_it_once(sampler)
    ([1, 3, 0], 2)
    """
    dataset: Any = sampler.dataset
    if sampler.total_size <= len(dataset):
        return None
    return len(range(sampler.rank, len(dataset), sampler.num_replicas))


def first_rows(things: Any, whole: int, rows: int) -> Any:
    """Return the first `rows` of every tensor in `things` that has `whole` of them."""
    return tree_map(lambda one: _part(one, whole, rows), things)


def _part(one: Any, whole: int, rows: int) -> Any:
    return one[:rows] if isinstance(one, Tensor) and one.ndim and len(one) == whole else one
