"""The toy training of the tests of callbacks, and the data of a report without a training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import seqlight as sl
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionCallback, AttributionRecord, LogoCallback, SeqletCallback
from seqlight_callbacks.history import History
from seqlight_callbacks.report_data import ReportData
from toy_training import data, network, sequences, trainer


@pytest.fixture
def small_reports(monkeypatch):
    """Draw one sequence and a part of it in each report: drawing takes longer than all else in a short training."""
    monkeypatch.setattr("seqlight_callbacks.report_data.MOST_EXAMPLES", 1)
    monkeypatch.setattr("seqlight_callbacks.report_data.MOST_POSITIONS", 30)


class Toy:
    """What the tests of callbacks train, in a folder of their own."""

    network, sequences, data = staticmethod(network), staticmethod(sequences), staticmethod(data)

    def __init__(self, folder):
        self.folder = folder

    def attribution(self, n=3, **settings):
        """Return an AttributionCallback on `n` sequences."""
        return AttributionCallback(sequences(n, seed=3), **{"n_shuffles": 2} | settings)

    def logo(self, **settings):
        """Return a LogoCallback of one sequence, and the AttributionCallback whose records it draws."""
        first = self.attribution(4)
        return first, LogoCallback(first, **{"examples": (2,)} | settings)

    def logo_figure(self, **settings):
        """Return the figure of a random record."""
        first, callback = self.logo(**settings)
        first.record = AttributionRecord(3, torch.randn(4, 4, 20) * first.sequences, torch.zeros(4), torch.zeros(4, 2))
        return callback.draw()

    def trainer(self, callbacks=(), **settings):
        """Return a quiet Trainer that writes to the folder."""
        return trainer(self.folder, callbacks, **settings)

    def fit(self, callbacks=(), net=None, module=None, ckpt_path=None, **settings):
        """Train the network, or another one or a whole LightningModule, and return the module and its trainer."""
        module = TrainModule(net if net is not None else network()) if module is None else module
        torch.manual_seed(1)
        done = self.trainer(callbacks, **settings)
        done.fit(module, data(), ckpt_path=ckpt_path)
        return SimpleNamespace(module=module, trainer=done)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A small network and its data, with `attribution(n, ...)` to watch it and `fit(callbacks, ...)` to train it."""
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    return Toy(tmp_path)


@pytest.fixture
def report_data():
    """Make the data of a report of random attributions, without a training."""

    def make(length=30, n=6, epochs=(0, 1), known=None, **settings):
        X = sl.random_one_hot((n, 4, length), random_state=0)
        window = settings.pop("window", None)
        attribution = AttributionCallback(X, n_shuffles=1, window=window)
        seqlets = SeqletCallback(attribution, known=known, strong=0.5, threshold=0.5)
        history = History(X)
        torch.manual_seed(0)
        for epoch in epochs:
            record = AttributionRecord(epoch, X * torch.randn(n, 1, length), torch.arange(n).float())
            attribution.record = record
            history.add_record(record)
            history.add_scalars(epoch, epoch, {"attribution/similarity": 0.5, "train_loss": 0.3, "val_loss": 0.4})
        seqlets.seqlets = sl.recursive_seqlets(attribution.record.attributions.sum(dim=1), threshold=0.5)
        return ReportData(attribution, seqlets, history, **settings)

    return make
