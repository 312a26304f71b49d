"""Data for ``trainer.predict`` in any number of processes: each row once, in shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import lightning.pytorch as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

from seqlight.errors import InputError, kind_of
from seqlight.formats.genome import Genome
from seqlight.lit.lightning_packages import OUR_PACKAGE, require_lightning
from seqlight.lit.pinned_memory import bring_to_cpu, should_pin
from seqlight.lit.row_batches import NumberedRows, RowBatch, ShardBatchSampler, keep_batch
from seqlight.prediction.batch_size import FIRST_ROWS, AskedBatchSize, BatchSize, require_batch_size
from seqlight.results.fingerprints import fingerprint_data
from seqlight.results.row_names import RowNames, as_row_names
from seqlight.sequence.alphabets import Alphabet, as_alphabet
from seqlight.sequence.checks import require_count
from seqlight.sequence.loci import Loci, as_loci

T = TypeVar("T")

# At least so many shards, so that a crash costs little, and so many for each process, so that all end together; but at
# most so many rows in each, unless a batch is larger.
SHARDS, SHARDS_PER_PROCESS, MOST_ROWS = 32, 16, 2048
# At most so many bytes of rows are loaded at a time, or so many rows of a data set that does not report their size.
MOST_BYTES, UNKNOWN_ROWS = 2**26, 128


class ShardedDataModule(L.LightningDataModule):
    """Rows for ``trainer.predict``, in whole shards for each process.

    Lightning deals rows out one by one, and each process returns those it got. Here a process gets shards of
    consecutive rows, which do not depend on the number of processes, and a batch holds the numbers of its rows.

    Parameters
    ----------
    data : torch.Tensor, numpy.ndarray, tuple of these, map-style Dataset, DataLoader or LightningDataModule
        A row for each sequence. A Dataset may have ``fingerprint()``, a string that changes with its rows, and
        ``loci``, the positions of its rows in a genome, ``row_names``, strings, and ``alphabet``, which a Subset
        inherits. Of a LightningDataModule, ``predict_dataloader`` is used.
    batch_size : int, "auto" or None
        Rows at a time, on each device. "auto" is 32 on the CPU; on a device that reports its memory more rows are
        loaded at a time, and the module finds out how many go through its model at once. None: as in a DataLoader, else
        "auto".
    workers : int, optional
        Processes that load data, for each device; if None, as in a DataLoader, else 0.
    alphabet : str or sequence of str, optional
        The letters of data that do not say them, such as arrays: "DNA", "RNA", "protein", or letters in the order of
        the rows of a sequence. Results keep them.

    Raises
    ------
    InputError
        If rows cannot be indexed by number.

    Examples
    --------
    >>> import torch
    >>> data = ShardedDataModule(torch.zeros(5, 4, 20), batch_size=2)
    >>> [batch.ids.tolist() for batch in data.predict_dataloader()]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        data: Any,
        batch_size: AskedBatchSize | None = None,
        workers: int | None = None,
        *,
        alphabet: Alphabet | str | Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        # With fewer shards than processes, some processes have no batches.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._source, self._rows = data, None if isinstance(data, L.LightningDataModule) else NumberedRows(data)
        self._batch_size = None if batch_size is None else require_batch_size(batch_size)
        self._workers = None if workers is None else require_count(workers, "workers")
        self._alphabet = None if alphabet is None else as_alphabet(alphabet)
        self.shard_rows: int | None = None
        self.shards: Sequence[int] | None = None  # of this process
        self._begin: Callable[[], None] | None = None

    def prepare_data(self) -> None:
        """Let a LightningDataModule that was given download what it needs."""
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
                raise InputError(f"predict_dataloader of the data gives {kind_of(loader)}: expected one DataLoader.")
            self._source, self._rows = loader, NumberedRows(loader)
        return self._rows

    @property
    def asked_batch_size(self) -> AskedBatchSize:
        """Rows at a time as asked for, here or in a DataLoader; else "auto"."""
        _ = self.rows  # a LightningDataModule makes its loader only when it is asked for its rows
        given = self._source.batch_size if isinstance(self._source, DataLoader) else None
        return self._batch_size or given or "auto"

    @property
    def batch_size(self) -> int:
        """Rows at a time, on each device; for "auto", the number of which a shard has a multiple."""
        asked = self.asked_batch_size
        return min(asked if isinstance(asked, int) else FIRST_ROWS, max(1, len(self.rows)))

    @property
    def workers(self) -> int:
        """Processes that load data, for each device."""
        if self._workers is not None:
            return self._workers
        return self._source.num_workers if isinstance(self._source, DataLoader) else 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def loci(self) -> Loci | None:
        """The positions of the rows in a genome, or None if the data has none."""
        loci = _row_attribute(self.rows.data, "loci", _select_loci)
        return None if loci is None else as_loci(loci, n=len(self))

    @property
    def row_names(self) -> RowNames | None:
        """What the rows are called, and written in, or None if the data has no names for them."""
        names = _row_attribute(self.rows.data, "row_names", _select_names)
        return None if names is None else RowNames(as_row_names(names, len(self)), self.letters)

    @property
    def letters(self) -> str:
        """The letters in the order of the rows of a sequence: those that the data say, or that were given, or ""."""
        own = getattr(self._whole, "alphabet", None)
        known = own if isinstance(own, Alphabet) else self._alphabet
        return "" if known is None else known.letters

    @property
    def chrom_sizes(self) -> dict[str, int]:
        """The lengths of the chromosomes that rows are from, in the order of the genome; empty if it is not known."""
        genome, loci = getattr(self._whole, "genome", None), self.loci
        if loci is None or not isinstance(genome, Genome):
            return {}
        there = set(loci.chrom.tolist())
        return {name: int(size) for name, size in genome.sizes.items() if name in there}

    @property
    def _whole(self) -> Any:
        """The data, of which a Subset may have been given."""
        whole = self.rows.data
        while isinstance(whole, Subset):
            whole = whole.dataset
        return whole

    def fingerprint(self) -> str:
        """Return a string that identifies the rows."""
        return fingerprint_data(self.rows.data, len(self), self.rows.collate)

    def rows_for_a_shard(self, processes: int = 1) -> int:
        """Return the default number of rows in a shard: whole batches, so that no batch depends on `processes`."""
        rows = min(max(-(-len(self) // max(SHARDS, SHARDS_PER_PROCESS * processes)), 1), MOST_ROWS)
        return -(-rows // self.batch_size) * self.batch_size

    def plan(self, shard_rows: int, shards: Sequence[int], begin: Callable[[], None]) -> None:
        """Set the shards that this process makes, and a function to call when it begins."""
        self.shard_rows, self.shards, self._begin = shard_rows, shards, begin

    def teardown(self, stage: str) -> None:
        """Forget the plan, since another run may follow."""
        self.shard_rows = self.shards = self._begin = None

    def on_exception(self, exception: BaseException) -> None:
        """Forget the plan, since another run may follow."""
        self.teardown("predict")

    def batches(self) -> ShardBatchSampler:
        """Return the batches of this process: those of the planned shards, or else of its share of all."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        size = self.shard_rows or self.rows_for_a_shard(world)
        mine = self.shards if self.shards is not None else range(rank, -(-len(self) // size), world)
        return ShardBatchSampler(len(self), size, self._rows_to_load(), mine)

    def _rows_to_load(self) -> int:
        """Return how many rows are loaded at a time: more than `batch_size` where the module divides them as it can."""
        trainer = self.trainer
        if trainer is None or not BatchSize(self.asked_batch_size, trainer.strategy.root_device).learns:
            return self.batch_size
        most = getattr(trainer.lightning_module, "most_rows", MOST_ROWS)
        if self.rows.arrays is None:
            return max(self.batch_size, min(most, UNKNOWN_ROWS))
        each = sum(int(one[:1].nbytes) for one in self.rows.arrays)
        return max(self.batch_size, min(most, MOST_BYTES // max(1, each)))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Return the batch on the device; as it is for the CPU, or for a module that sends its inputs itself."""
        module = None if self.trainer is None else self.trainer.lightning_module
        here = device.type == "cpu" or getattr(module, "sends_inputs", False)
        return batch if here else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def predict_dataloader(self) -> DataLoader[RowBatch]:
        """Return the batches of this process."""
        if self.trainer is not None:
            require_lightning(self.trainer, OUR_PACKAGE)
        if self._begin is not None:
            # A Trainer calls this last before it runs, in every process.
            self._begin()
        pins = should_pin(self.trainer, self.rows.arrays or ())
        return DataLoader(
            self.rows,
            batch_size=None,  # a batch is one item, so that a Trainer does not batch or count rows itself
            sampler=self.batches(),
            num_workers=self.workers,
            collate_fn=bring_to_cpu if pins else keep_batch,
            pin_memory=pins,
            # Without one, a loader draws a number from the global generator.
            generator=torch.Generator().manual_seed(0),
        )


def _row_attribute(data: Any, name: str, select: Callable[[Any, int, Sequence[int]], T]) -> T | None:
    """Return an attribute with an entry for each row, also of a Subset of a data set that has it; None without it.

    `select` takes it, the number of all rows, and those of a Subset.
    """
    found: T | None = getattr(data, name, None)
    if found is not None or not isinstance(data, Subset):
        return found
    whole: Any = data.dataset
    of_all = _row_attribute(whole, name, select)
    return None if of_all is None else select(of_all, len(whole), data.indices)


def _select_loci(loci: Any, rows: int, indices: Sequence[int]) -> Loci:
    some = np.asarray(indices, dtype=np.int64)
    return Loci(*(one[some] for one in as_loci(loci, n=rows)))


def _select_names(names: Any, rows: int, indices: Sequence[int]) -> Sequence[str]:
    every = as_row_names(names, rows)
    return [every[i] for i in indices]
