"""Batches come from pinned memory where a device gains from it, wherever the data lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import nn
from torch.utils.data import Dataset

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule, ShardedDataModule
from seqlight.lit.data import SequenceDataModule

X = sl.random_one_hot((5, 4, 20), random_state=0)


class Rows(Dataset):
    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.X[i].float().mean()


@pytest.fixture
def data_module(trainer):
    """Return a function that gives rows to a data module, for a Trainer on a device."""

    def make(kind, rows, device, **settings):
        arguments = {"train": rows, "predict": rows} if kind is SequenceDataModule else {"data": rows}
        data = kind(**arguments, batch_size=2, **settings)
        data.trainer = trainer(strategy=SingleDeviceStrategy(device))
        return data

    return make


def tensors(batch):
    return [one for one in torch.utils._pytree.tree_leaves(batch) if isinstance(one, torch.Tensor)]


@pytest.mark.reliability(
    "accelerators",
    "a data set for a run or a training on the CPU of a machine with a GPU, on the GPU, and on a device like MPS",
    "batches are in pinned memory only where the Trainer computes on a device that reads it faster",
)
@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("pretend:1", True), ("mps", False)])
@pytest.mark.parametrize("kind", [ShardedDataModule, SequenceDataModule])
@pytest.mark.parametrize("rows", [(X, X), Rows(X)], ids=["tensors", "dataset"])
def test_batches_are_pinned_where_it_serves(pretend, data_module, kind, rows, device, pinned):
    with pretend.switched(available=True):
        batch = next(iter(data_module(kind, rows, device).predict_dataloader()))
        assert [one.is_pinned() for one in tensors(batch)] == [pinned, pinned]


@pytest.mark.parametrize("kind", [ShardedDataModule, SequenceDataModule])
@pytest.mark.parametrize("place", ["pretend:0", "pretend:1"])
def test_data_on_a_device_stay_there_or_come_to_the_cpu(pretend, data_module, kind, place):
    there = X.to(place)
    with pretend.switched(available=True):
        for rows, kept in (((there, X), True), (Rows(there), False)):
            found = tensors(next(iter(data_module(kind, rows, "pretend:1").predict_dataloader())))
            assert found[0].device == (torch.device(place) if kept else torch.device("cpu"))
            assert torch.equal(found[0].cpu(), X[:2])


def test_the_user_can_insist(pretend, data_module):
    with pretend.switched(available=True):
        for rows in ((X.to("pretend"),), Rows(X.to("pretend"))):
            data = data_module(SequenceDataModule, rows, "pretend:1", pin_memory=True)
            assert all(one.is_pinned() for one in tensors(next(iter(data.predict_dataloader()))))
        data = data_module(SequenceDataModule, (X,), "pretend:1", pin_memory=False)
        assert not tensors(next(iter(data.predict_dataloader())))[0].is_pinned()


@pytest.mark.reliability(
    "accelerators",
    "run with rows that lie on the device, on another one, or come from there out of a Dataset",
    "the results of rows on the CPU",
)
@pytest.mark.parametrize("place", ["pretend:0", "pretend:1"])
@pytest.mark.parametrize("kind", ["tensors", "dataset"])
def test_rows_of_a_run_may_lie_anywhere(pretend, tmp_path, place, kind):
    from pretend_device import trainers

    trainers.register()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(54, 2))
    settings = {"accelerator": "pretend", "devices": 1, "progress": False, "batch_size": 2}
    rows = Rows(X.to(place)) if kind == "dataset" else (X.to(place), X.sum(dim=(1, 2)))
    expected = {"predictions": sl.predict(model, X, device="cpu")}
    expected["attributions"] = sl.deep_lift_shap(model, X, n_shuffles=2, random_state=0, device="cpu")
    with pretend.switched(available=True, late_copies=True):
        for module in (PredictModule(model), DeepLiftShapModule(model, n_shuffles=2)):
            strategy = SingleDeviceStrategy("pretend:1")
            found = sl.run(module, rows, tmp_path / type(module).__name__, strategy=strategy, **settings)
            name = found.names[0]
            np.testing.assert_allclose(found[name][:], expected[name], rtol=1e-4, atol=1e-6)
