from __future__ import annotations

import random

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule


def rows(n, first=0):
    return sl.random_one_hot((n, 4, 6), random_state=first), torch.arange(first, first + n).float()


def seen(data, epochs=2, **settings):
    """Return the labels of each epoch in the order of the training."""
    orders = []

    class Listen(TrainModule):
        def on_train_epoch_start(self):
            orders.append([])

        def training_step(self, batch, batch_idx):
            orders[-1] += batch[1].tolist()
            return super().training_step(batch, batch_idx)

    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        **settings,
    )
    module = Listen(nn.Sequential(nn.Flatten(), nn.Linear(24, 1)), loss=nn.MSELoss())
    trainer.fit(module, data)
    return orders


def test_order_depends_on_the_seed_only():
    def orders(seed, state):
        torch.manual_seed(state)
        return seen(SequenceDataModule(train=rows(11), batch_size=4, seed=seed))

    first, second = orders(5, 0)
    assert sorted(first) == sorted(second) == list(range(11))
    assert first != second
    assert orders(5, 99) == [first, second]
    assert orders(6, 0)[0] != first


def test_a_resumed_training_keeps_its_order(tmp_path):
    whole = seen(SequenceDataModule(train=rows(11), batch_size=4), epochs=3)
    data = SequenceDataModule(train=rows(11), batch_size=4)
    module = TrainModule(nn.Sequential(nn.Flatten(), nn.Linear(24, 1)), loss=nn.MSELoss())
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=1, limit_val_batches=0, enable_model_summary=False, **quiet)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    later = []

    class Listen(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            later.append((trainer.current_epoch, batch[1].tolist()))

    trainer = L.Trainer(max_epochs=3, limit_val_batches=0, enable_model_summary=False, callbacks=[Listen()], **quiet)
    trainer.fit(module, data, ckpt_path=tmp_path / "one.ckpt")
    assert [[row for epoch, batch in later if epoch == i for row in batch] for i in (1, 2)] == whole[1:]


def test_global_generators_are_not_used():
    data = SequenceDataModule(rows(5), rows(5), rows(5), batch_size=2)
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        list(loader)
    after = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_splits_are_loaded_in_order():
    data = SequenceDataModule(rows(5), rows(7, 10), rows(3, 20), batch_size=2)
    assert torch.cat([y for _, y in data.val_dataloader()]).tolist() == list(range(10, 17))
    assert torch.cat([y for _, y in data.test_dataloader()]).tolist() == [20, 21, 22]
    assert sorted(torch.cat([y for _, y in data.train_dataloader()]).tolist()) == list(range(5))
    X = torch.cat([X for X, _ in data.test_dataloader()])
    assert X.dtype == torch.int8
    assert torch.equal(X, rows(3, 20)[0])


@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_a_split_that_was_not_given(name):
    data = SequenceDataModule()
    loader = {"train": data.train_dataloader, "valid": data.val_dataloader, "test": data.test_dataloader}[name]
    with pytest.raises(sl.InputError, match=f"the split '{name}' was not given: pass {name}="):
        loader()


def test_bad_rows():
    with pytest.raises(sl.InputError, match=r"tensors of valid have \[5, 4\] rows"):
        SequenceDataModule(valid=(torch.zeros(5), torch.zeros(4)))
    with pytest.raises(sl.InputError, match="train has no rows: expected at least one"):
        SequenceDataModule(train=(torch.zeros(0),))
    with pytest.raises(sl.InputError, match="train is a list: expected a tuple of tensors"):
        SequenceDataModule(train=[1, 2])
    with pytest.raises(sl.InputError, match="batch_size"):
        SequenceDataModule(batch_size=0)
    with pytest.raises(sl.InputError, match="seed"):
        SequenceDataModule(seed=-1)
