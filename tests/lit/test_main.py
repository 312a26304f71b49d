from __future__ import annotations

import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.datasets import ArrayDataset, FastaDataset, GenomeDataset, Signals
from seqlight.datasets.scanner import MotifScanner
from seqlight.lit.__main__ import cli
from seqlight.lit.genome import GenomeDataModule

# Raised by Lightning 2.6 with jsonargparse 4.53.
pytestmark = pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning")

CONFIGS = Path(__file__).parents[2] / "configs"
QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "logger": False}
PEAK = "{}\t{}\t{}\t.\t0\t.\t1\t1\t1\t{}\n"


def flags(**options):
    return [f"--trainer.{name}={str(value).lower()}" for name, value in (QUIET | options).items()]


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seqlight"])
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # which Lightning would leave behind


def test_the_planted_task_from_yaml():
    made = cli(["fit", f"--config={CONFIGS / 'train.yaml'}", *flags(max_epochs=1, enable_checkpointing=False)])
    module = made.model
    assert isinstance(module.model, MotifScanner)
    assert isinstance(module.loss, nn.BCEWithLogitsLoss)
    assert list(module.valid_metrics) == ["auroc"]
    (group,) = made.trainer.optimizers[0].param_groups
    assert group["weight_decay"] == 0.3
    # The cycle ends with the only epoch.
    assert group["lr"] < 1e-4
    assert made.trainer.global_step == len(made.datamodule.train_dataloader()) == 44
    assert made.trainer.callback_metrics["valid_auroc"] > 0.55


class Profile(nn.Module):
    """Counts of two strands in 250 bins of 4 positions."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool1d(8, 4), nn.Conv1d(4, 2, 1), nn.Softplus())

    def forward(self, X):
        first = (528 - 250) // 2
        return self.layers(X)[:, :, first : first + 250]


def test_a_genome_from_yaml(monkeypatch, tmp_path):
    big = pytest.importorskip("pyBigWig")
    models = types.ModuleType("my_models")
    models.Profile = Profile
    monkeypatch.setitem(sys.modules, "my_models", models)
    sizes = dict.fromkeys(("chr1", "chr2", "chr8", "chr20"), 3000)
    texts = [sl.characters(sl.random_one_hot((1, 4, 3000), random_state=i)[0]) for i in range(4)]
    Path("hg38.fa").write_text("".join(f">{name}\n{text}\n" for name, text in zip(sizes, texts, strict=True)))
    Path("exclusion.bed").write_text("chr2\t2900\t3000\n")
    Path("peaks.narrowPeak").write_text(
        "".join(PEAK.format(name, 1400 + i, 1600 + i, 90) for name in sizes for i in range(3))
    )
    for i, name in enumerate(("plus.bw", "minus.bw")):
        file = big.open(name, "w")
        file.addHeader(list(sizes.items()))
        for chrom in sizes:
            file.addEntries(chrom, 0, values=[1.0 + i] * 3000, span=1, step=1)
        file.close()
    made = cli(["fit", f"--config={CONFIGS / 'genome.yaml'}", *flags(max_epochs=1, enable_checkpointing=False)])
    assert isinstance(made.datamodule, GenomeDataModule)
    assert isinstance(made.model.model, Profile)
    assert [len(made.datamodule.splits[name]) for name in ("train", "valid", "test", "predict")] == [3, 6, 3, 12]
    X, y = next(iter(made.datamodule.test_dataloader()))
    assert X.shape == (3, 4, 2114)
    assert y.shape == (3, 2, 250)
    assert y[0, :, 0].tolist() == [4, 8]
    assert made.trainer.callback_metrics["valid_loss"] > 0
    train = made.datamodule.splits["train"]
    assert (train.jitter, train.reverse_complement) == (128, True)
    # On the reverse strand, the two strands are swapped.
    seen = {tuple(train[0, epoch][1][:, 0].tolist()) for epoch in range(8)}
    assert seen == {(4.0, 8.0), (8.0, 4.0)}


def test_arrays_fastas_and_stock_schedulers_from_yaml():
    X, y = sl.random_one_hot((6, 4, 20), random_state=0), np.arange(6.0, dtype=np.float32)
    np.savez("data.npz", X=X.numpy(), y=y)
    sl.write_fasta("sites.fa", X)
    arrays = {"class_path": "seqlight.datasets.ArrayDataset", "init_args": {"X": "data.npz", "y": "data.npz"}}
    records = {"class_path": "seqlight.datasets.FastaDataset", "init_args": {"path": "sites.fa", "y": "data.npz"}}
    Path("a.bed").write_text("3\t2\t12\tname\t0.5\t-\n5\t2\t12\tname\t0.25\t+\n")
    windows = {
        "class_path": "seqlight.datasets.GenomeDataset",
        "init_args": {"genome": "sites.fa", "regions": "a.bed", "labels": "score", "exclude": ["b.bed"], "jitter": 1},
    }
    Path("b.bed").write_text("5\t0\t1\n")
    step = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.5}}
    arguments = {
        "trainer": QUIET | {"max_epochs": 1, "enable_checkpointing": False},
        "model": {
            "model": {"class_path": "seqlight.datasets.scanner.MotifScanner"},
            "loss": "torch.nn.functional.mse_loss",
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.25}},
            "scheduler": {"class_path": "seqlight.lit.schedules.Stock", "init_args": {"scheduler": step}},
        },
        "data": {
            "class_path": "seqlight.lit.data.SequenceDataModule",
            "init_args": {"train": arrays, "valid": records, "predict": records, "test": windows, "batch_size": 3},
        },
    }
    made = cli(arguments, run=False)
    assert made.model.loss is nn.functional.mse_loss
    made.trainer.fit(made.model, made.datamodule)
    assert made.trainer.optimizers[0].param_groups[0]["lr"] == 0.25 / 4
    assert torch.equal(torch.cat([X for X, _ in made.datamodule.predict_dataloader()]), X)
    assert made.datamodule.splits["test"].jitter == 1
    ((found, labels),) = made.datamodule.test_dataloader()
    assert found.shape == (2, 4, 10)
    assert labels.tolist() == [0.5, 0.25]


@pytest.mark.parametrize("kind", [ArrayDataset, FastaDataset, GenomeDataset, Signals, GenomeDataModule])
def test_files_are_not_read_as_configurations(kind):
    """LightningCLI reads a path as YAML if the argument may be a class, which takes long for a genome."""
    for name, hint in get_type_hints(kind.__init__).items():
        members = get_args(hint) or (hint,)
        if {str, os.PathLike[str]} & {*members}:
            others = {*members} - {str, os.PathLike[str], type(None)}
            assert not [one for one in others if get_origin(one) is not Sequence], name


def test_python_m_seqlight_lit(python):
    arguments = ["fit", "--config", CONFIGS / "train.yaml", "--print_config"]
    done = python("-m", "seqlight.lit", *arguments, loaded="lightning")
    assert "class_path: seqlight.datasets.scanner.MotifScanner" in done.stdout
