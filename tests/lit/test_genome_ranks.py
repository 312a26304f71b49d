"""Two processes of a training split each epoch, and augment rows as one process does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import lightning.pytorch as L
import pytest
from torch import nn

import seqlight as sl
from seqlight.lit.genome import GenomeDataModule
from seqlight.lit.training import TrainModule


class Listen(L.Callback):
    """Saves the batches of each epoch, in each process."""

    def __init__(self, out):
        self.out, self.seen = out, []

    def on_train_epoch_start(self, trainer, pl_module):
        self.seen.append([])

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        texts = sl.characters(batch[0], allow_N=True)
        self.seen[-1] += [[int(y), text] for y, text in zip(batch[1], texts, strict=True)]

    def on_train_end(self, trainer, pl_module):
        (self.out / f"{trainer.world_size}-{trainer.global_rank}.json").write_text(json.dumps(self.seen))


def fit(folder: Path, processes: int, workers: int) -> None:
    data = GenomeDataModule(
        folder / "toy.fa",
        folder / "peaks.bed",
        30,
        labels="score",
        jitter=7,
        reverse_complement=True,
        batch_size=3,
        workers=workers,
    )
    L.Trainer(
        max_epochs=3,
        callbacks=[Listen(folder)],
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    ).fit(TrainModule(nn.Sequential(nn.Flatten(), nn.Linear(120, 1)), nn.MSELoss()), data)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_two_processes_share_an_epoch(tmp_path, run_scripts):
    text = sl.characters(sl.random_one_hot((1, 4, 500), random_state=0)[0])
    (tmp_path / "toy.fa").write_text(f">1\n{text}\n")
    (tmp_path / "peaks.bed").write_text("".join(f"1\t{20 * i}\t{20 * i + 10}\tp\t{i}\t+\n" for i in range(22)))
    run_scripts([__file__, tmp_path])
    one, first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("1-0", "2-0", "2-1"))
    for alone, *shares in zip(one, first, second, strict=True):
        assert sorted(y for y, _ in alone) == list(range(22))
        assert [row for pair in zip(*shares, strict=True) for row in pair] == alone
    assert one[0] != one[1]


if __name__ == "__main__":
    fit(Path(sys.argv[1]), 1, 0)
    fit(Path(sys.argv[1]), 2, 1)
