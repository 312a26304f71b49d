"""Every callback from YAML, by LightningCLI, in a project that does not use seqlight otherwise."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import pytorch_lightning
import torch
import yaml
from torch import Tensor, nn

import seqlight as sl
from seqlight.sequence.shuffles import shuffle

# From Lightning's own use of jsonargparse, and about the folder that a test fills.
pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*[Dd]eprecat:jsonargparse._deprecated.JsonargparseDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:No seed found:UserWarning"),
]

WATCH = Path(__file__).parents[2] / "configs" / "watch.yaml"


def project(package):
    """Return a module and data written with one of the two packages."""

    class Project(package.LightningModule):
        """A user's module."""

        def __init__(self, width: int = 4):
            super().__init__()
            self.net = nn.Sequential(nn.Conv1d(4, width, 5), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 2))

        def forward(self, X):
            return self.net(X)

        def training_step(self, batch, batch_idx):
            X, y = batch
            loss = nn.functional.cross_entropy(self(X), y)
            self.log("loss", loss)
            return loss

        def validation_step(self, batch, batch_idx):
            X, y = batch
            self.log("val_loss", nn.functional.cross_entropy(self(X), y))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Data(package.LightningDataModule):
        """A user's data."""

        def train_dataloader(self):
            X = sl.random_one_hot((12, 4, 20), random_state=0).float()
            return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, X[:, 0, 10].long()), batch_size=4)

        val_dataloader = train_dataloader

    return Project, Data


def first(output: Any) -> Tensor:
    """Return what to explain."""
    return output[:, 0]


def run(folder, text, package=L, max_epochs=2):
    """Run ``fit`` in a folder, with a user's config and another one."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    mine = {"trainer": quiet | {"max_epochs": max_epochs, "default_root_dir": str(folder), "callbacks": []}}
    mine["trainer"]["callbacks"] = [{"class_path": f"{package.__name__}.callbacks.ModelCheckpoint"}]
    mine["trainer"]["callbacks"][0]["init_args"] = {"monitor": "attribution/similarity", "mode": "max"}
    (folder / "mine.yaml").write_text(yaml.safe_dump(mine))
    (folder / "more.yaml").write_text(text)
    command = ["yours.py", "fit", "--config", "mine.yaml", "--config", "more.yaml"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", command)
        CLI = import_module(f"{package.__name__}.cli").LightningCLI
        return CLI(*project(package), save_config_kwargs={"overwrite": True}).trainer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    X = sl.random_one_hot((4, 4, 20), random_state=3)
    sl.write_fasta("probes.fa", X, names=["a", "b", "c", "d"])
    np.savez("probes.npz", X=X.numpy())
    Path("known.bed").write_text("b\t2\t9\n")
    return tmp_path


@pytest.mark.usefixtures("small_reports")
def test_the_config_turns_all_of_them_on(folder):
    trainer = run(folder, WATCH.read_text(), max_epochs=1)
    numbers = trainer.callback_metrics.keys()
    assert {"val_loss", "attribution/delta", "seqlets/count"} <= numbers
    names = [f"epoch-00{i}-step-0000000{3 * i}" for i in range(2)]
    assert sorted(path.name for path in (folder / "attributions").iterdir()) == [f"{name}.npz" for name in names]
    assert sorted(path.name for path in (folder / "seqlets").iterdir()) == [f"{name}.csv" for name in names]
    assert len(list((folder / "figures").iterdir())) == 2
    assert "<h1>What does the model look at?</h1>" in (folder / "report.html").read_text()
    assert trainer.checkpoint_callback.best_model_score > 0


@pytest.mark.reliability(
    "callbacks in other trainings",
    "LightningCLI of `pytorch_lightning`, with our callbacks in its YAML",
    "they are taken, as by that of `lightning.pytorch`",
)
def test_the_other_package_reads_them_too(folder):
    more = [_callback("SeqletCallback"), _callback("AttributionCallback", sequences="probes.fa", n_shuffles=1)]
    trainer = run(folder, yaml.safe_dump({"trainer": {"callbacks+": more}}), pytorch_lightning)
    assert isinstance(trainer, pytorch_lightning.Trainer)
    assert {"val_loss", "attribution/delta", "seqlets/count"} <= trainer.callback_metrics.keys()


def test_names_files_functions_and_indices(folder, monkeypatch):
    monkeypatch.setattr("seqlight.sequence.shuffles.choose", first, raising=False)
    more = {
        "trainer": {
            "callbacks+": [
                _callback("AttributionCallback", sequences="probes.npz", target=[1], window=[3, 9], n_shuffles=2),
                _callback(
                    "AttributionCallback",
                    sequences="probes.fa",
                    name="other",
                    on="train",
                    n_shuffles=3,
                    target="seqlight.sequence.shuffles.choose",
                    references="seqlight.sequence.shuffles.shuffle",
                    inputs="torch.square",
                    method="integrated_gradients",
                ),
                _callback("SeqletCallback", attribution="other", known="known.bed"),
                _callback("LogoCallback", attribution="other", examples=[3]),
                _callback("RandomizationCallback", attribution="other", steps=1, n_draws=1, out="layers.csv"),
            ]
        }
    }
    trainer = run(folder, yaml.safe_dump(more))
    one, other, seqlets, _, check = [
        one for one in trainer.callbacks if type(one).__module__.startswith("seqlight_callbacks")
    ]
    assert (one.target, one.window) == ((1,), (3, 9))
    assert other.target is first
    expected = torch.cat([shuffle(other.sequences[i : i + 1], n=1, random_state=k) for i in range(4) for k in range(3)])
    assert torch.equal(other.references.flatten(0, 1), expected.flatten(0, 1))
    assert seqlets.attribution is other
    assert seqlets.known["example_idx"].tolist() == [1]
    assert "seqlets/recall" in trainer.callback_metrics
    assert len(check.result.table) == len(Path("layers.csv").read_text().splitlines()) - 1 == 1


def _callback(kind, **settings):
    return {"class_path": f"seqlight_callbacks.{kind}", "init_args": settings}
