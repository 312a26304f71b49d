"""Progress of a run, shown by its first process: rows per second and the time left."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L

from seqlight.lit.row_batches import RowBatch
from seqlight.lit.sharded_data import ShardedDataModule
from seqlight.prediction.progress import Progress, open_progress


class RowProgressBar(L.Callback):
    """Progress over the rows of process 0; the others have as many, give or take a shard.

    A bar on a terminal, and lines, one in ten seconds at most, where stderr goes into a file.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero and isinstance(data, ShardedDataModule):
            world = trainer.world_size
            label = "process 0" if world == 1 else f"process 0 of {world}"
            self._bar = open_progress(data.batches().rows_to_do(), "rows", label)

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Advance the bar."""
        if self._bar is not None and isinstance(batch, RowBatch):
            self._bar.update(len(batch.ids))

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar where it is."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar where it is."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
