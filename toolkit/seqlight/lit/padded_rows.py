"""Rows that several processes get twice, so that all have as many: which of a batch are a process's own."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

from seqlight.datasets.sampler import TrainingOrder

# Those that deal out their items in turn, and again from the first where they do not suffice. A sampler of the user's
# may do as it likes.
_IN_TURN = (DistributedSampler.__iter__, DistributedSamplerWrapper.__iter__, TrainingOrder.__iter__)


def rows_of_its_own(trainer: L.Trainer | None, batch_idx: int, rows: int) -> int:
    """Return how many rows of a batch of validation or test are no repeats, which are its last ones.

    A DistributedSampler, which a Trainer puts into a DataLoader that has none, begins again with the first rows where
    the number of processes does not divide that of the rows.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer, optional
        Which is in that loop. Without one, all rows are.
    batch_idx, rows : int
        Which batch of this process it is, and how many rows it has.
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
    return own_rows(loaders[0], batch_idx, rows) if len(loaders) == 1 else rows


def own_rows(loader: Any, batch_idx: int, rows: int) -> int:
    """Return how many rows of a batch of `loader` are no repeats.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader, or any other iterable, of which all rows are
    batch_idx, rows : int
        As in :func:`rows_of_its_own`. An item of the data may be several rows, or a batch.

    Examples
    --------
    >>> sampler = DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False)
    >>> loader = DataLoader(range(5), batch_size=2, sampler=sampler)
    >>> list(sampler), [own_rows(loader, i, len(batch)) for i, batch in enumerate(loader)]
    ([1, 3, 0], [2, 0])
    """
    if not isinstance(loader, DataLoader):
        return rows
    batches = loader.batch_sampler
    if batches is not None and type(batches) is not BatchSampler:
        return rows
    sampler: Any = loader.sampler if batches is None else batches.sampler
    if not isinstance(sampler, DistributedSampler) or type(sampler).__iter__ not in _IN_TURN:
        return rows
    size = 1 if batches is None else batches.batch_size
    items = min(size, len(sampler) - batch_idx * size)
    own = max(0, min(items, items_dealt_once(sampler) - batch_idx * size))
    return rows if own == items or rows % items else own * (rows // items)


def items_dealt_once(sampler: DistributedSampler[Any]) -> int:
    """Return how many of the first items of a sampler that deals out in turn are no repeats."""
    dataset: Any = sampler.dataset
    # Where some are left out instead, there are fewer of them than of the data.
    return min(len(sampler), len(range(sampler.rank, len(dataset), sampler.num_replicas)))


def first_rows(things: Any, whole: int, rows: int) -> Any:
    """Return the first `rows` of every tensor in `things` that has `whole` of them."""
    return tree_map(lambda one: _part(one, whole, rows), things)


def _part(one: Any, whole: int, rows: int) -> Any:
    return one[:rows] if isinstance(one, Tensor) and one.ndim and len(one) == whole else one
