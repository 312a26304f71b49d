"""Sequences in splits, for a Lightning Trainer."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, TensorDataset

from seqlight.datasets.sampler import TrainingOrder
from seqlight.errors import InputError, kind_of
from seqlight.lit.pinned_memory import collate_on_cpu, should_pin
from seqlight.sequence.checks import require_count

# A plain Dataset, since LightningCLI does not find the arguments of a class for Dataset[Any].
Split = tuple[Tensor, ...] | Dataset | None  # type: ignore[type-arg]


class SequenceDataModule(L.LightningDataModule):
    """Rows in up to four splits, with training rows in an order that depends on the seed only.

    The order of an epoch, and the augmentation of each row, are functions of the seed and the epoch, so a resumed
    training continues as if it had not been interrupted, with any number of workers. The global random generators are
    not used. Every argument can be given in a YAML file of LightningCLI.

    Parameters
    ----------
    train, valid, test, predict : tuple of torch.Tensor, or torch.utils.data.Dataset, optional
        Tensors with equally many rows, usually sequences and labels; or any map-style Dataset, such as those of
        `seqlight.datasets`. For a genome with regions, `GenomeDataModule` makes all four splits.
    batch_size : int
        Rows at a time, on each device.
    seed : int
        The seed of the order of the training rows.
    workers : int
        Processes that load batches ahead, for each split; they stay alive between epochs. 0 for none.
    pin_memory : bool, optional
        Load into pinned memory, from which a GPU copies faster; if None, only if the Trainer's device gains from it.

    Raises
    ------
    InputError
        If the tensors of a split do not have equally many rows, a split other than predict has none, or a split is
        needed that was not given.

    Examples
    --------
    >>> import torch
    >>> from seqlight.lit.data import SequenceDataModule
    >>> data = SequenceDataModule(train=(torch.zeros(5, 4, 20), torch.zeros(5)), batch_size=2)
    >>> len(data.train_dataloader())
    3
    """

    def __init__(
        self,
        train: Split = None,
        valid: Split = None,
        test: Split = None,
        batch_size: int = 64,
        seed: int = 0,
        *,
        predict: Split = None,
        workers: int = 0,
        pin_memory: bool | None = None,
    ) -> None:
        super().__init__()
        given = {"train": train, "valid": valid, "test": test, "predict": predict}
        self.splits = {name: _dataset(name, rows) for name, rows in given.items()}
        self.batch_size = require_count(batch_size, "batch_size", least=1)
        self.seed = require_count(seed, "seed")
        self.workers, self.pin_memory = require_count(workers, "workers"), pin_memory

    def train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the training rows, shuffled anew in each epoch."""
        dataset = self._split("train")
        # Each process takes its share in this order; Lightning would add a sampler with a seed of its own.
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        order = TrainingOrder(dataset, self.seed, rank, world)
        if self.trainer:
            # A Trainer that resumes sets the epoch of the sampler only after workers have begun to load it, and counts
            # the epoch before as completed later still.
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            order.set_epoch(progress.processed)
        return self._loader(dataset, order)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the validation rows, in order."""
        return self._in_order("valid")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the test rows, in order."""
        return self._in_order("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the rows to predict, in order."""
        return self._loader(self._split("predict"))

    def _split(self, name: str) -> Dataset[Any]:
        dataset = self.splits[name]
        if dataset is None:
            hint = " To train without, set limit_val_batches=0 in the Trainer." if name == "valid" else ""
            error = InputError(f"the split {name!r} was not given: {self._how_to_give(name)}.{hint}")
            error.typed = f"the split {name!r} was not given: expected {self._how_to_type(name)}.{hint}"
            raise error
        return dataset

    def _how_to_give(self, name: str) -> str:
        return f"pass {name}=(X, y) to SequenceDataModule"

    def _how_to_type(self, name: str) -> str:
        return f"a Dataset as {name} in the arguments of data (init_args), with class_path and init_args of its own"

    def _in_order(self, name: str) -> DataLoader[Any]:
        """Return a loader of rows to evaluate; each of several processes gets its share."""
        dataset = self._split(name)
        order: DistributedSampler[Any] | None = None
        if self.trainer and self.trainer.world_size > 1:
            # A Trainer would add the same sampler, but warn that some rows are repeated.
            world, rank = self.trainer.world_size, self.trainer.global_rank
            order = DistributedSampler(dataset, world, rank, shuffle=False)
        return self._loader(dataset, order)

    def _loader(self, dataset: Dataset[Any], order: DistributedSampler[Any] | None = None) -> DataLoader[Any]:
        pins = should_pin(self.trainer, getattr(dataset, "tensors", ())) if self.pin_memory is None else self.pin_memory
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=order,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=collate_on_cpu if pins else None,
            pin_memory=pins,
            # Without one, a loader draws a number from the global generator, even if nothing is shuffled.
            generator=torch.Generator().manual_seed(self.seed),
        )


def _dataset(name: str, rows: Split) -> Dataset[Any] | None:
    """Return the dataset of a split, checked."""
    if rows is None:
        return None
    if isinstance(rows, tuple) and rows and all(isinstance(one, Tensor) and one.ndim for one in rows):
        lengths = [len(one) for one in rows]
        if len(set(lengths)) > 1:
            raise InputError(f"the tensors of {name} have {lengths} rows: expected equally many in each.")
        rows = TensorDataset(*rows)
    if not isinstance(rows, Dataset) or isinstance(rows, IterableDataset) or not hasattr(rows, "__len__"):
        raise InputError(
            f"{name} is {kind_of(rows)}: expected a tuple of tensors, such as (X, y), or a map-style Dataset."
        )
    if name != "predict" and not len(rows):
        left_out = getattr(rows, "left_out", None)
        why = f" Left out were: {', '.join(f'{n} ({what})' for what, n in left_out.items())}." if left_out else ""
        raise InputError(f"{name} has no rows: expected at least one.{why}")
    return rows
