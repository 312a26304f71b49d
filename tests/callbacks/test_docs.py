"""Every Python block of docs/callbacks.md, in order, on small data."""

from __future__ import annotations

import re
from pathlib import Path

import lightning
import lightning.pytorch
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seqlight as sl
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule

PAGE = Path(__file__).parents[2] / "docs" / "callbacks.md"


@pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed:UserWarning")
@pytest.mark.filterwarnings("ignore:.*log_every_n_steps:UserWarning")
@pytest.mark.filterwarnings("ignore:Precision bf16-mixed is not supported by the model summary:UserWarning")
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    X = sl.random_one_hot((64, 4, 40), random_state=0, dtype=torch.float32)
    y = (torch.arange(64) % 2).float()
    X[1::2] = sl.substitute(X[1::2], "TGACTCA", start=10)
    loaders = {"train_loader": DataLoader(TensorDataset(X, y), 16), "valid_loader": DataLoader(TensorDataset(X, y), 16)}
    model = nn.Sequential(nn.Conv1d(4, 16, 7), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 34, 1))
    names = {
        "lightning": lightning,
        "torch": torch,
        "nn": nn,
        "F": nn.functional,
        "sl": sl,
        "X_probe": X[1:17:2].to(torch.int8),
        "sites": pd.DataFrame({"example_idx": range(8), "start": 10, "end": 17}),
        "your_module": TrainModule(model),
        "your_data": SequenceDataModule((X, y), (X, y), batch_size=16),
        **loaders,
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    logged = []
    for block in blocks:
        exec(block, names)
        logged.append({name for name in names["trainer"].callback_metrics if "/" in name})
    assert len(blocks) == 9
    assert len((tmp_path / "layers.csv").read_text().splitlines()) == 3
    assert not names["check"].result.alike
    assert (tmp_path / "lightning_logs" / "version_0" / "report.html").exists()
    assert names["best"].best_model_score >= 0
    assert "seqlets/recall" in logged[1]
    assert "attribution/kmer_consistency" in logged[2]
    assert names["most_consistent"].best_model_score > 0
    assert "attribution/delta" in logged[3]
    assert {"attribution/delta", "seqlets/count"} <= logged[5]
    assert {"counts/delta", "profile/delta", "seqlets of counts/count"} <= logged[4]
    figures = {path.name.split("-")[0] for path in tmp_path.rglob("*.png")}
    assert figures == {"logos"}
    for metrics in (names["trainer"].callback_metrics,):
        assert float(metrics["attribution/delta"]) < 1e-4  # in float32, while the training is not


def test_the_table_names_all_that_is_logged(toy):
    text = PAGE.read_text()
    known = pd.DataFrame({"example_idx": [0], "start": [2], "end": [9]})
    from seqlight_callbacks import AttributionCallback, SeqletCallback

    compared = torch.ones(4, 4, 20)
    first = AttributionCallback(toy.sequences(4), n_shuffles=2, window=(2, 5), compare_with=compared)
    motifs = {"NAME": torch.eye(4)}
    fitted = toy.fit([first, SeqletCallback(known=known, motifs=motifs)], max_epochs=1)
    for name in fitted.trainer.callback_metrics:
        if "/" in name:
            assert f"`{name}`" in text or f"`{name.split('/', 1)[1]}`" in text, name
