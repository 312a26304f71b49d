"""A small network with everything that a careless callback would disturb, and a training of it."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule

LENGTH = 20


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(4, 6, 5, padding=2),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Conv1d(6, 6, 3, padding=1),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(6 * LENGTH, 1),
    )
    net[3].requires_grad_(False)
    return net


def sequences(n: int, seed: int = 0) -> torch.Tensor:
    return sl.random_one_hot((n, 4, LENGTH), random_state=seed)


def data(seed: int = 0) -> SequenceDataModule:
    X = sequences(20)
    y = (X[:, 0].sum(dim=1) > LENGTH / 4).float()
    return SequenceDataModule((X[:12], y[:12]), (X[12:], y[12:]), (X[12:], y[12:]), batch_size=2, seed=seed)


def trainer(folder, callbacks=(), **settings) -> L.Trainer:
    quiet = {
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "devices": 1,
        "default_root_dir": str(folder),
        "log_every_n_steps": 1,
    }
    return L.Trainer(callbacks=list(callbacks), **quiet | settings)


@pytest.fixture(autouse=True)
def _one_thread():
    """Wait for no other thread: where cores are shared that takes longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """What the tests of callbacks need: `network`, `sequences`, `data`, and `fit(callbacks, **settings)`."""
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)

    make = functools.partial(trainer, tmp_path)

    def fit(callbacks=(), net=None, **settings):
        module = TrainModule(net if net is not None else network())
        torch.manual_seed(1)
        done = make(callbacks, **settings)
        done.fit(module, data())
        return SimpleNamespace(module=module, trainer=done)

    return SimpleNamespace(network=network, sequences=sequences, data=data, trainer=make, fit=fit)
