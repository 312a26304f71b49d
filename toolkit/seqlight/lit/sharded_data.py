"""Data for ``trainer.predict`` on any number of processes: every row once, in shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

from seqlight.errors import InputError, a
from seqlight.lit.row_batches import NumberedRows, Rows, ShardBatches, as_they_are
from seqlight.lit.trainer_check import OURS, require_lightning
from seqlight.results.fingerprints import fingerprint_data
from seqlight.sequence.checks import require_count
from seqlight.sequence.loci import Loci, as_loci

# Enough shards that a crash costs little, and enough for each process that all end together; not so many that writing
# them takes the time of a quick model.
SHARDS, EACH, MOST = 32, 16, 2048


class ShardedDataModule(L.LightningDataModule):
    """Rows for ``trainer.predict``, of which each process gets whole shards.

    Lightning deals rows out one by one, and each process returns the ones it got. Here a shard is a run of consecutive
    rows that does not depend on the number of processes, and a batch carries the numbers of its rows.

    Parameters
    ----------
    data : torch.Tensor, numpy.ndarray, tuple of these, map-style Dataset, DataLoader or LightningDataModule
        With a row for each sequence. A Dataset may have ``fingerprint()``, a string that changes with its rows, and
        ``loci``, the places of its rows in a genome; a Subset of it has those of its rows. Of a LightningDataModule it
        is ``predict_dataloader``.
    batch_size : int, optional
        Rows at a time, on each device; None for that of a DataLoader, else 32.
    workers : int, optional
        Processes that read, for each device; None for that of a DataLoader, else none.

    Raises
    ------
    InputError
        If rows cannot be asked for by number.

    Examples
    --------
    >>> import torch
    >>> data = ShardedDataModule(torch.zeros(5, 4, 20), batch_size=2)
    >>> [batch.ids.tolist() for batch in data.predict_dataloader()]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, data: Any, batch_size: int | None = None, workers: int | None = None) -> None:
        super().__init__()
        # With fewer shards than processes some have nothing to do.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._source, self._rows = data, None if isinstance(data, L.LightningDataModule) else NumberedRows(data)
        self._batch_size = None if batch_size is None else require_count(batch_size, "batch_size", least=1)
        self._workers = None if workers is None else require_count(workers, "workers")
        self.shard_rows: int | None = None
        self.shards: Sequence[int] | None = None  # of this process
        self._begin: Callable[[], None] | None = None

    def prepare_data(self) -> None:
        """Let the module that the rows are from download what it needs."""
        if isinstance(self._source, L.LightningDataModule):
            self._source.prepare_data()

    @property
    def rows(self) -> NumberedRows:
        """The rows of all processes."""
        if self._rows is None:
            module: L.LightningDataModule = self._source
            module.trainer = self.trainer
            module.setup("predict")
            loader = module.predict_dataloader()
            if not isinstance(loader, DataLoader):
                raise InputError(f"predict_dataloader of the data gives {a(loader)}: expected one DataLoader.")
            self._source, self._rows = loader, NumberedRows(loader)
        return self._rows

    @property
    def batch_size(self) -> int:
        """Rows at a time."""
        rows = self.rows
        given = self._source.batch_size if isinstance(self._source, DataLoader) else None
        found: int = self._batch_size or given or 32
        return min(found, max(1, len(rows)))

    @property
    def workers(self) -> int:
        """Processes that read."""
        if self._workers is not None:
            return self._workers
        return self._source.num_workers if isinstance(self._source, DataLoader) else 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def loci(self) -> Loci | None:
        """Where in a genome the rows come from, if the data says."""
        loci = _loci_of(self.rows.data)
        return None if loci is None else as_loci(loci, n=len(self))

    def fingerprint(self) -> str:
        """Return what identifies the rows."""
        return fingerprint_data(self.rows.data, len(self), self.rows.collate)

    def rows_for_a_shard(self, processes: int = 1) -> int:
        """Return how many rows a shard has where nobody says: whole batches, so that none depends on `processes`."""
        rows = min(max(-(-len(self) // max(SHARDS, EACH * processes)), 1), MOST)
        return -(-rows // self.batch_size) * self.batch_size

    def plan(self, shard_rows: int, shards: Sequence[int], begin: Callable[[], None]) -> None:
        """Say which shards this process makes, and what to call when it begins to."""
        self.shard_rows, self.shards, self._begin = shard_rows, shards, begin

    def teardown(self, stage: str) -> None:
        """Forget what was planned: another run may follow."""
        self.shard_rows = self.shards = self._begin = None

    def on_exception(self, exception: BaseException) -> None:
        """Forget what was planned: another run may follow."""
        self.teardown("predict")

    def batches(self) -> ShardBatches:
        """Return the batches of this process: of the shards that were planned, else of its share of all."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        size = self.shard_rows or self.rows_for_a_shard(world)
        mine = self.shards if self.shards is not None else range(rank, -(-len(self) // size), world)
        return ShardBatches(len(self), size, self.batch_size, mine)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Return the batch on the device; Lightning would look for what to send to the processor it is on, too."""
        here = device.type == "cpu"
        return batch if here else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def predict_dataloader(self) -> DataLoader[Rows]:
        """Return the batches of this process."""
        if self.trainer is not None:
            require_lightning(self.trainer, OURS)
        if self._begin is not None:
            # The last that a Trainer asks for before it runs, in every process.
            self._begin()
        return DataLoader(
            self.rows,
            batch_size=None,  # a batch is one item: a Trainer then counts no rows on its own
            sampler=self.batches(),
            num_workers=self.workers,
            collate_fn=as_they_are,
            pin_memory=torch.cuda.is_available(),
            # Without a generator of its own a loader draws a number from the global one.
            generator=torch.Generator().manual_seed(0),
        )


def _loci_of(data: Any) -> Loci | None:
    """Return the places of the rows, also where they are some of a Dataset that has more."""
    loci: Loci | None = getattr(data, "loci", None)
    if loci is not None or not isinstance(data, Subset):
        return loci
    whole: Any = data.dataset
    found, some = _loci_of(whole), np.asarray(data.indices, dtype=np.int64)
    return None if found is None else Loci(*(one[some] for one in as_loci(found, n=len(whole))))
