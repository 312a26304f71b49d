"""The rows of a batch that are no padding: a DistributedSampler repeats rows so that all processes have as many."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

from seqlight.datasets.sampler import TrainingOrder

# These deal out items in turn, and start again with the first ones if there are too few. A custom sampler may do
# anything.
_IN_TURN = (DistributedSampler.__iter__, DistributedSamplerWrapper.__iter__, TrainingOrder.__iter__)


def unpadded_rows(trainer: L.Trainer | None, batch_idx: int, rows: int) -> int:
    """Return how many rows of a validation or test batch are not repeats; the repeats come last.

    A DistributedSampler, which a Trainer adds to a DataLoader without one, starts again with the first rows if the
    number of rows is no multiple of the number of processes.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer, optional
        The Trainer that runs the loop. Without one, no row is a repeat.
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
    # Not trainer.val_dataloaders: in a validation after a fit it still is the loader of fit.
    combined = getattr(loops.get(getattr(trainer.state.fn, "value", "")), "_combined_loader", None)
    loaders = combined.flattened if combined is not None else []
    return unpadded_rows_of(loaders[0], batch_idx, rows) if len(loaders) == 1 else rows


def unpadded_rows_of(loader: Any, batch_idx: int, rows: int) -> int:
    """Return how many rows of a batch of `loader` are not repeats.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader, or any other iterable, which repeats no rows
    batch_idx, rows : int
        As in :func:`unpadded_rows`. An item of the data may be several rows, or a batch.

    Examples
    --------
    >>> sampler = DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False)
    >>> loader = DataLoader(range(5), batch_size=2, sampler=sampler)
    >>> list(sampler), [unpadded_rows_of(loader, i, len(batch)) for i, batch in enumerate(loader)]
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
    unpadded = max(0, min(items, unpadded_items(sampler) - batch_idx * size))
    return rows if unpadded == items or rows % items else unpadded * (rows // items)


def unpadded_items(sampler: DistributedSampler[Any]) -> int:
    """Return how many items of a sampler that deals them out in turn are not repeats; these come first."""
    dataset: Any = sampler.dataset
    # With drop_last, some items are left out instead, so the sampler has fewer.
    return min(len(sampler), len(range(sampler.rank, len(dataset), sampler.num_replicas)))


def first_rows(batch: Any, whole: int, rows: int) -> Any:
    """Return `batch` with the first `rows` of every tensor that has `whole` rows."""
    return tree_map(lambda one: _first_rows_of(one, whole, rows), batch)


def _first_rows_of(one: Any, whole: int, rows: int) -> Any:
    return one[:rows] if isinstance(one, Tensor) and one.ndim and len(one) == whole else one
