"""Sequences for a Lightning Trainer."""

from __future__ import annotations

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

Rows = tuple[Tensor, ...]


class SequenceDataModule(L.LightningDataModule):
    """Tensors in three splits, of which the training rows come in an order that only the seed decides.

    Parameters
    ----------
    train, valid, test : tuple of torch.Tensor, optional
        Tensors with as many rows each, usually sequences and labels.
    batch_size : int
        Rows at a time, on each device.
    seed : int
        Of the order of the training rows; the global generators are left alone.

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
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader[Rows]:
        """Return the training rows, shuffled anew each epoch."""
        order = torch.Generator().manual_seed(self.seed)
        return self._loader("train", shuffle=True, generator=order)

    def val_dataloader(self) -> DataLoader[Rows]:
        """Return the validation rows in order."""
        return self._loader("valid")

    def test_dataloader(self) -> DataLoader[Rows]:
        """Return the test rows in order."""
        return self._loader("test")

    def _loader(self, split: str, shuffle: bool = False, generator: torch.Generator | None = None) -> DataLoader[Rows]:
        rows = self.splits[split]
        dataset = TensorDataset(*(rows if rows is not None else (torch.empty(0),)))
        return DataLoader(dataset, batch_size=self.batch_size, shuffle=shuffle, generator=generator)
