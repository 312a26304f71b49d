"""Every Python block of docs/metrics.md runs, in order, and the table names everything there is."""

import re
from pathlib import Path

import lightning.pytorch as L
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seqlight as sl
from seqlight import metrics

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


@pytest.fixture(scope="module")
def names():
    torch.manual_seed(0)
    X = sl.random_one_hot((6, 4, 40), random_state=0)
    found = {
        "model": nn.Sequential(nn.Conv1d(4, 8, 7), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 34, 2)),
        "X": X,
        "motifs": pd.DataFrame({"example_idx": [0, 3], "start": [10, 5], "end": [20, 12]}),
        "torch": torch,
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block, found)
    return found


def test_the_blocks_run(names):
    computed = names["metrics"].compute()
    assert set(computed) == {"gini", "top 10", "recall", "precision"}
    assert computed["recall"].shape == (2,)
    assert len(names["figures"]) == 4
    assert names["ax"].get_ylabel() == "AttributionGini"


def test_the_module_trains(names, tmp_path):
    X = names["X"]
    batches = DataLoader(TensorDataset(X, X[:, 0, 3].float()), batch_size=4)
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(names["Mine"](), batches, batches)
    assert float(trainer.callback_metrics["delta"]) < 1e-5
    assert 0 < float(trainer.callback_metrics["share"]) < 1


def test_the_table_names_every_metric():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(name for row in rows for name in row) == dir(metrics)
