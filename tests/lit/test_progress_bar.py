from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from seqlight.lit import ShardedDataModule
from seqlight.lit.progress_bar import RowProgressBar


@pytest.mark.parametrize(("rank", "world"), [(0, 3), (1, 3)])
def test_process_0_shows_its_rows(capsys, rank, world):
    data = ShardedDataModule(torch.zeros(10, 2), batch_size=2)
    data.plan(2, range(rank, 5, world), lambda: None)
    trainer = SimpleNamespace(datamodule=data, is_global_zero=not rank, world_size=world)
    bar = RowProgressBar()
    bar.on_predict_start(trainer, None)
    for batch in data.predict_dataloader():
        bar.on_predict_batch_end(trainer, None, None, batch, 0)
    bar.on_predict_end(trainer, None)
    bar.on_exception(trainer, None, ValueError())
    shown = capsys.readouterr().err
    assert ("process 0 of 3: 100%" in shown) == (not rank)
    assert ("4/4" in shown) == (not rank)
