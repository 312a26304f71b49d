"""Each row counts once in a validation by two processes; as a script, this file runs both."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import warnings
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
)
from torchmetrics import MeanSquaredError, Metric
from torchmetrics.classification import BinaryAUROC, MultilabelAUROC
from torchmetrics.regression import PearsonCorrCoef

from seqlight.datasets import TrainingOrder
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.padded_rows import first_rows, unpadded_rows, unpadded_rows_of
from seqlight.lit.training import TrainModule


class MeanLabel(Metric):
    """The share of ones among the labels, and how many there were."""

    full_state_update = False

    def __init__(self):
        super().__init__()
        self.add_state("ones", torch.zeros(2), dist_reduce_fx="sum")

    def update(self, output, labels):
        self.ones += torch.tensor([float(labels.sum()), labels.numel()])

    def compute(self):
        return self.ones[0] / self.ones[1] + self.ones[1]


def rows(n, outputs=0):
    generator = torch.Generator().manual_seed(n)
    X = torch.randn(n, 4, 6, generator=generator)
    y = (torch.arange(n) % 5 == 0).float()
    return X, (torch.stack([y, 1 - y, y], 1) if outputs else y)


def module(kind):
    torch.manual_seed(0)
    outputs = 3 if kind == "multilabel" else 1
    net = nn.Sequential(nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, outputs))
    if kind == "multilabel":
        return TrainModule(net, None, {"auroc": MultilabelAUROC(3, thresholds=None)})
    if kind == "regression":
        return TrainModule(net, nn.MSELoss(), {"mse": MeanSquaredError(), "r": PearsonCorrCoef()})
    return TrainModule(net, None, {"label": MeanLabel(), "auroc": BinaryAUROC()})


def data(kind, n, batch_size):
    X, y = rows(n, kind == "multilabel")
    if kind == "own loader":
        return DataLoader(TensorDataset(X, y), batch_size)
    if kind == "shuffled loader":
        sampler = RandomSampler(range(n), generator=torch.Generator().manual_seed(3))
        return DataLoader(TensorDataset(X, y), batch_size, sampler=sampler)
    train = rows(8, kind == "multilabel")
    return SequenceDataModule(train, (X, y), (X, y), batch_size=batch_size)


CASES = [
    *(("module", verb, n, 2) for verb, n in (("fit", 5), ("fit", 1), ("validate", 5), ("test", 2))),
    *((kind, verb, 5, size) for kind, verb, size in (
        ("own loader", "validate", 2), ("own loader", "test", 1), ("shuffled loader", "test", 64))),
    ("module", "validate", 6, 4),
    ("regression", "validate", 7, 3),
    ("regression", "validate", 1, 3),
    ("multilabel", "validate", 1, 2),
]  # fmt: skip
NAMES = ["-".join(map(str, case)) for case in CASES]


def measured(case, devices):
    kind, verb, n, batch_size = case
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    more = {"strategy": "ddp"} if devices > 1 else {}
    trainer = L.Trainer(devices=devices, accelerator="cpu", logger=False, max_epochs=1, **quiet, **more)
    given, net = data(kind, n, batch_size), module(kind)
    if verb == "fit":
        # A training that changes nothing, so that one process and two give the same.
        net.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.0)
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm1d):
                norm.momentum = 0.0
        trainer.fit(net, given)
    else:
        getattr(trainer, verb)(net, given, verbose=False)
    return {name: float(one) for name, one in trainer.callback_metrics.items() if not name.startswith("train")}


def after_another(devices):
    """Validate after a fit, with a loader of other rows."""
    more = {"strategy": "ddp"} if devices > 1 else {}
    trainer = L.Trainer(
        devices=devices, accelerator="cpu", logger=False, max_epochs=1, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, **more,
    )  # fmt: skip
    net = module("module")
    net.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.0)
    trainer.fit(net, data("module", 4, 2))
    trainer.validate(net, data("own loader", 7, 2), verbose=False)
    return float(trainer.callback_metrics["valid_label"])


def work(rank, folder):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"}
    found = {name: measured(case, 2) for name, case in zip(NAMES, CASES, strict=True)}
    found["after another"] = after_another(2)
    torch.save(found, folder / f"rank-{rank}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory, run_scripts):
    folder = tmp_path_factory.mktemp("repeats")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    launched = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    run_scripts([__file__, folder], **launched)
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize(("name", "case"), list(zip(NAMES, CASES, strict=True)), ids=NAMES)
@pytest.mark.filterwarnings("ignore:No (positive|negative) samples:UserWarning")
@pytest.mark.reliability(
    "training on several devices",
    "validations and tests whose rows do not divide by the number of devices, down to a single row",
    "each row counts once, in the loss and in every metric",
)
def test_two_processes_log_what_one_does(found, name, case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = measured(case, 1)
    assert wanted
    for rank in (0, 1):
        assert found[rank][name] == pytest.approx(wanted, rel=1e-5, abs=1e-6, nan_ok=True)
    label = next((one for key, one in wanted.items() if key.endswith("label")), None)
    if label is not None:
        assert label == pytest.approx(-(-case[2] // 5) / case[2] + case[2])


def test_a_validation_after_a_fit_uses_its_own_loader(found):
    assert [each["after another"] for each in found] == [pytest.approx(2 / 7 + 7)] * 2


SAMPLERS = {
    "in order": lambda n, world, rank: DistributedSampler(range(n), world, rank, shuffle=False),
    "shuffled": lambda n, world, rank: DistributedSampler(range(n), world, rank),
    "leaving out": lambda n, world, rank: DistributedSampler(range(n), world, rank, shuffle=False, drop_last=True),
    "wrapped": lambda n, world, rank: DistributedSamplerWrapper(
        SubsetRandomSampler(range(n), torch.Generator().manual_seed(1)), world, rank, shuffle=False
    ),
    "training": lambda n, world, rank: TrainingOrder(range(n), 0, rank, world),
}


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("size", [1, 2, 64, None])
def test_all_processes_together_count_each_row_once(size, kind):
    for n, world in itertools.product([1, 2, 3, 5, 8], [1, 2, 3, 7]):
        seen = []
        for rank in range(world):
            loader = DataLoader(torch.arange(n), size, sampler=SAMPLERS[kind](n, world, rank))
            for batch_idx, batch in enumerate(loader):
                rows = batch.reshape(-1)
                seen.extend(rows[: unpadded_rows_of(loader, batch_idx, len(rows))].tolist())
        assert sorted(seen) == list(range(n - n % world if kind == "leaving out" else n))


def half(n, collate=None, size=2):
    sampler = DistributedSampler(range(n), 2, 1, shuffle=False)
    return DataLoader(torch.arange(n), size, sampler=sampler, collate_fn=collate)


def test_items_that_are_several_rows():
    loader = half(5, lambda items: torch.stack(items).repeat_interleave(3))
    assert [unpadded_rows_of(loader, i, len(batch)) for i, batch in enumerate(loader)] == [6, 0]
    assert [len(batch) for batch in loader] == [6, 3]


class Backwards(DistributedSampler):
    """A custom sampler, with its repeats elsewhere."""

    def __iter__(self):
        return iter([*super().__iter__()][::-1])


class Buckets(BatchSampler):
    """A custom batch sampler."""


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(torch.arange(5), 2, sampler=Backwards(range(5), 2, 1)),
        DataLoader(torch.arange(5), batch_sampler=Buckets(DistributedSampler(range(5), 2, 1), 2, False)),
        DataLoader(torch.arange(5), 2),
        [torch.arange(2), torch.arange(1)],
    ],
    ids=["sampler", "batches", "no processes", "no loader"],
)
def test_all_rows_count_if_repeats_are_unknown(loader):
    for batch_idx, batch in enumerate(loader):
        assert unpadded_rows_of(loader, batch_idx, len(batch)) == len(batch)


def test_without_a_trainer_all_rows_count():
    assert unpadded_rows(None, 0, 3) == 3


def test_first_rows_of_a_batch_of_any_structure():
    batch = torch.zeros(3, 2), {"y": torch.arange(3), "scale": torch.tensor(2.0)}, ["a", "b", "c"]
    x, y, names = first_rows(batch, 3, 2)
    assert x.shape == (2, 2)
    assert y["y"].tolist() == [0, 1]
    assert y["scale"].ndim == 0
    assert names == ["a", "b", "c"]


if __name__ == "__main__":
    # Forked after all imports, and before anything runs.
    child = os.fork()
    work(1 if child else 0, Path(sys.argv[1]))
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
