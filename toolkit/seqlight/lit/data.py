"""Sequences for a Lightning Trainer."""

from __future__ import annotations

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from seqlight.errors import InputError
from seqlight.sequence.checks import require_count

Rows = tuple[Tensor, ...]


class SequenceDataModule(L.LightningDataModule):
    """Tensors in three splits, of which the training rows come in an order that only the seed decides.

    The order of an epoch is a function of the seed and of the number of the epoch, so a training that is
    resumed goes on as if it had not been interrupted. The global random generators are left alone.

    Parameters
    ----------
    train, valid, test : tuple of torch.Tensor, optional
        Tensors with as many rows each, usually sequences and labels.
    batch_size : int
        Rows at a time, on each device.
    seed : int
        Of the order of the training rows.

    Raises
    ------
    InputError
        If the tensors of a split do not have as many rows, or a split is asked for that was not given.

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
        train: Rows | None = None,
        valid: Rows | None = None,
        test: Rows | None = None,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.splits = {"train": train, "valid": valid, "test": test}
        for name, rows in self.splits.items():
            _require_rows(name, rows)
        self.batch_size = require_count(batch_size, "batch_size", least=1)
        self.seed = require_count(seed, "seed")

    def train_dataloader(self) -> DataLoader[Rows]:
        """Return the training rows, which a Trainer shuffles anew each epoch."""
        dataset = self._dataset("train")
        # Of several processes each takes its share, in this order and not in one of Lightning's seed.
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        order: DistributedSampler[Rows] = DistributedSampler(dataset, world, rank, shuffle=True, seed=self.seed)
        return self._loader(dataset, order)

    def val_dataloader(self) -> DataLoader[Rows]:
        """Return the validation rows in order."""
        return self._loader(self._dataset("valid"))

    def test_dataloader(self) -> DataLoader[Rows]:
        """Return the test rows in order."""
        return self._loader(self._dataset("test"))

    def _dataset(self, split: str) -> TensorDataset:
        rows = self.splits[split]
        if rows is None:
            hint = " To train without, set limit_val_batches=0 in the Trainer." if split == "valid" else ""
            raise InputError(f"the split {split!r} was not given: pass {split}=(X, y) to SequenceDataModule.{hint}")
        return TensorDataset(*rows)

    def _loader(self, dataset: TensorDataset, order: DistributedSampler[Rows] | None = None) -> DataLoader[Rows]:
        # Without a generator of its own a loader draws a number from the global one, even where nothing is shuffled.
        own = torch.Generator().manual_seed(self.seed)
        return DataLoader(dataset, batch_size=self.batch_size, sampler=order, generator=own)


def _require_rows(name: str, rows: Rows | None) -> None:
    if rows is None:
        return
    if not rows or not all(isinstance(one, Tensor) and one.ndim for one in rows):
        raise InputError(f"{name} is {type(rows).__name__}: expected a tuple of tensors, such as (X, y).")
    lengths = [len(one) for one in rows]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise InputError(f"the tensors of {name} have {lengths} rows: expected as many in each, and at least one.")
