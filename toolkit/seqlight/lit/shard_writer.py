"""Write the outputs of ``trainer.predict`` to disk in shards, so that an interrupted run can continue."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
from numpy.typing import NDArray
from torch import nn

from seqlight.errors import InputError, ResultsError, kind_of
from seqlight.files.atomic import sync_to_disk
from seqlight.files.folder import as_folder
from seqlight.lit.collectives import run_on_all_ranks
from seqlight.lit.lightning_packages import OUR_PACKAGE, Callback, require_lightning
from seqlight.lit.output_arrays import named_arrays
from seqlight.lit.row_batches import RowBatch
from seqlight.lit.sharded_data import ShardedDataModule
from seqlight.lit.watchdog import STOP_NOTE, Watchdog
from seqlight.results.file_lock import Lock
from seqlight.results.fingerprints import fingerprint_model
from seqlight.results.manifest import FORMAT, Manifest
from seqlight.results.results import Results
from seqlight.results.run_folder import LOCKS, claim_folder, disk_errors, lock_path, prepare_folder
from seqlight.results.shard_buffer import ShardBuffer
from seqlight.results.shard_check import shard_origin
from seqlight.results.shards import Arrays, shard_path, write_shard
from seqlight.sequence.checks import require_count

log = logging.getLogger("seqlight")


class ShardWriter(Callback):
    """Writes the outputs of ``trainer.predict`` to a folder, in shards that are either complete or absent.

    The same run, started again with any number of processes, computes the missing shards. A folder that holds another
    run, or that a run is writing to, is refused. ``seqlight.open_results(out)`` reads the results.

    Parameters
    ----------
    out : str or path
        The folder, on a file system that all machines share.
    shard_rows : int, optional
        Rows in a shard. A process that is killed loses the shard it works on. None: whole batches, about 1/32 of all
        rows, with many processes 16 shards for each, and at most about 2,048 rows.

    Raises
    ------
    InputError
        If `out` cannot be a folder. In ``trainer.predict``: if the datamodule is not a ShardedDataModule.
    ResultsError
        In ``trainer.predict``: if the folder is in use or holds another run, or rows are missing at the end.
    DiskError
        In ``trainer.predict``: if the disk is full, or the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from lightning.pytorch import Trainer
    >>> import seqlight as sl
    >>> from seqlight.lit import PredictModule, ShardedDataModule, ShardWriter
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    >>> quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    >>> with tempfile.TemporaryDirectory() as out:
    ...     trainer = Trainer(callbacks=[ShardWriter(out)], accelerator="cpu", **quiet)
    ...     data = ShardedDataModule(sl.random_one_hot((5, 4, 10)))
    ...     trainer.predict(PredictModule(model), datamodule=data, return_predictions=False)
    ...     sl.open_results(out)["predictions"].shape
    (5, 3)
    """

    def __init__(self, out: str | os.PathLike[str], shard_rows: int | None = None) -> None:
        self.out = as_folder(out)
        self.shard_rows = None if shard_rows is None else require_count(shard_rows, "shard_rows", least=1)
        self._watchdog: Watchdog | None = None
        self._lock: Lock | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Agree with the other processes on which shards are missing, and which process makes which."""
        require_lightning(trainer, OUR_PACKAGE)
        if stage != "predict":
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, ShardedDataModule):
            raise InputError(
                f"ShardWriter got {kind_of(data)} as datamodule, whose batches do not say which rows they hold: "
                "expected trainer.predict(module, datamodule=seqlight.lit.ShardedDataModule(...))."
            )
        rank, world = trainer.global_rank, trainer.world_size
        parts = run_on_all_ranks(trainer, lambda: self._prepare(trainer, pl_module, data))
        if len({fingerprint for fingerprint, _ in parts}) > 1:
            raise InputError(
                "the processes of this run have different data: expected the same, so seed what is random."
            )
        prepared = parts[0][1]
        assert prepared is not None
        self._manifest, todo = prepared
        mine = todo[rank::world]
        run_on_all_ranks(trainer, lambda: self._take_lock(rank))
        assert self._lock is not None
        # Shards are synced to disk by a thread: that may take longer than making the next shard, and a killed process
        # loses nothing by not waiting; only a power failure would.
        self._pool, self._syncs = ThreadPoolExecutor(1), list[Future[None]]()
        watchdog = self._watchdog = Watchdog(self.out, rank, world, self._lock)
        run_on_all_ranks(trainer, watchdog.require_shared_folder)
        data.plan(self._manifest.shard_rows, mine, watchdog.catch_sigterm)
        self._own_shards, self._missing, self._open = mine, sorted(todo, reverse=True), dict[int, ShardBuffer]()
        self._rows, self._begun = 0, time.monotonic()

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Store the rows of a batch, and write the shards that they complete."""
        assert isinstance(batch, RowBatch)
        arrays = named_arrays(outputs)
        for one in arrays.values():
            if not one.ndim or len(one) != len(batch.ids):
                raise InputError(
                    f"the model turned {len(batch.ids)} rows into an output of shape {one.shape}: expected one row for "
                    "each; return that from forward, or use `func` to make it so."
                )
        shards = batch.ids // self._manifest.shard_rows
        if (shards == shards[0]).all():  # true of the batches of ShardedDataModule
            self._add(int(shards[0]), batch.ids, arrays)
        else:
            for k in np.unique(shards).tolist():
                self._add(k, batch.ids[shards == k], {name: one[shards == k] for name, one in arrays.items()})
        self._rows += len(batch.ids)
        assert self._watchdog is not None
        self._watchdog.check(self._done)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Wait until the shards of all processes are written."""
        if self._watchdog is None:
            return
        # Not in on_predict_end, which is not called in a process without rows.
        try:
            with disk_errors(self.out, "a shard"):
                for one in self._syncs:
                    one.result()
            self._require_own_shards()
            self._watchdog.wait(self._done)
        except BaseException as error:
            self.on_exception(trainer, pl_module, error)
            raise
        seconds = max(time.monotonic() - self._begun, 1e-9)
        log.info(
            "process %d of %d on %s: %d rows in %.1f s, %.1f rows/s",
            trainer.global_rank, trainer.world_size, pl_module.device, self._rows, seconds, self._rows / seconds,
        )  # fmt: skip
        self._release()
        conclude = getattr(pl_module, "conclude", None)
        if conclude is not None and not trainer.global_rank:
            conclude(Results(self.out, self._manifest))

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Tell the other processes to stop, and release the folder."""
        if self._watchdog is not None:
            self._watchdog.stop(f"{type(exception).__name__}: {exception}")
        self._release()

    def _prepare(
        self, trainer: L.Trainer, module: L.LightningModule, data: ShardedDataModule
    ) -> tuple[str, tuple[Manifest, list[int]] | None]:
        """Return the fingerprint of the data, and in process 0 the manifest and the missing shards."""
        fingerprint = data.fingerprint()
        return fingerprint, None if trainer.global_rank else self._prepare_folder(trainer, module, data, fingerprint)

    def _prepare_folder(
        self, trainer: L.Trainer, module: L.LightningModule, data: ShardedDataModule, fingerprint: str
    ) -> tuple[Manifest, list[int]]:
        self._lock = claim_folder(self.out)
        (self.out / LOCKS / STOP_NOTE).unlink(missing_ok=True)
        describe = getattr(module, "method", None)
        method = {"name": type(module).__qualname__} if describe is None else describe()
        # That of the module is another one, such as tf32.
        precisions = [str(trainer.precision), method.get("precision")]
        manifest = Manifest(
            rows=len(data),
            shard_rows=self.shard_rows or data.rows_for_a_shard(trainer.world_size),
            method={**method, "precision": ", ".join(filter(None, precisions))},
            model=fingerprint_model(_identified_module(module), getattr(module, "identity", None)),
            data=fingerprint,
            format=FORMAT,
            alphabet=data.letters,
            chrom_sizes=data.chrom_sizes,
        )
        return prepare_folder(self.out, manifest, self.shard_rows, data.loci, data.row_names)

    def _take_lock(self, rank: int) -> None:
        if rank:
            self._lock = Lock(lock_path(self.out, rank))
            self._lock.take()

    def _add(self, shard: int, ids: NDArray[np.int64], arrays: Arrays) -> None:
        buffer = self._open.get(shard)
        if buffer is None:
            buffer = self._open[shard] = ShardBuffer(self._manifest.rows_of(shard))
        buffer.add(ids, arrays)
        if buffer.full:
            path = shard_path(self.out, shard)
            with disk_errors(self.out, path.name):
                write_shard(path, self._open.pop(shard).arrays, shard_origin(self._manifest, shard), wait=False)
                self._syncs.append(self._pool.submit(_sync, path))
                while self._syncs[0].done() and len(self._syncs) > 1:
                    self._syncs.pop(0).result()

    def _require_own_shards(self) -> None:
        missing = [k for k in self._own_shards if not shard_path(self.out, k).exists()]
        if missing:
            rows = sum(len(self._manifest.rows_of(k)) for k in missing)
            raise ResultsError(
                f"{rows} rows of this process are missing in {self.out}: does the Trainer limit batches? "
                "Start the same run again, which computes what is missing."
            )

    def _done(self) -> bool:
        while self._missing and shard_path(self.out, self._missing[-1]).exists():
            self._missing.pop()
        return not self._missing

    def _release(self) -> None:
        if self._watchdog is not None:
            self._pool.shutdown()
        if self._lock is not None:
            self._lock.release()
        self._lock = self._watchdog = None


def _identified_module(module: L.LightningModule) -> nn.Module:
    """Return what identifies a run: the model, or a user's own LightningModule, which may do more than call it."""
    model = getattr(module, "model", None)
    return model if isinstance(model, nn.Module) and type(module).__module__.startswith("seqlight.") else module


def _sync(path: Path) -> None:
    try:
        sync_to_disk(path)
    except OSError:
        # Some file systems report only now that they are full.
        path.unlink(missing_ok=True)
        raise
