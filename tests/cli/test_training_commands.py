from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import seqlight as sl
from seqlight.cli.main import main

CONFIG = Path(__file__).parents[2] / "configs" / "train.yaml"
CALLBACK = """
import lightning.pytorch as L

class Count(L.Callback):
    def __init__(self, name: str):
        self.name = name

    def on_train_end(self, trainer, pl_module):
        print(f"{self.name}: {trainer.global_step} steps")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "step_counter.py").write_text(CALLBACK)
    settings = yaml.safe_load(CONFIG.read_text())
    settings["trainer"] |= {
        "max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 2, "limit_test_batches": 2, "logger": False,
        "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu",
        "callbacks": [{"class_path": "step_counter.Count", "init_args": {"name": "mine"}}],
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # of Lightning and of the parser it uses
def test_a_model_is_trained_and_tested_from_a_file(folder, capsys):
    main(["fit", "--config", "train.yaml", "--trainer.limit_train_batches", "3"])
    assert "mine: 3 steps" in capsys.readouterr().out
    (checkpoint,) = folder.glob("checkpoints/*.ckpt")
    main(["test", "--config", "train.yaml", "--ckpt_path", str(checkpoint)])
    assert "test_auroc" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # of Lightning and of the parser it uses
def test_the_file_of_the_page_on_data_trains_on_fasta_files(folder):
    page = (CONFIG.parents[1] / "docs" / "data.md").read_text()
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if block.startswith("# fit.yaml")]
    (folder / "fit.yaml").write_text(block)
    (folder / "my_models.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self):\n        super().__init__(nn.Flatten(), nn.Linear(80, 2))\n"
    )
    for split in ("train", "valid"):
        sl.write_fasta(folder / f"{split}.fa", sl.random_one_hot((40, 4, 20), random_state=0))
        np.save(folder / f"{split}.npy", np.zeros((40, 2), np.float32))
    quiet = ["--trainer.logger", "false", "--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
    main(["fit", "--config", "fit.yaml", "--trainer.max_epochs", "1", *quiet])
    (checkpoint,) = folder.glob("checkpoints/*.ckpt")
    assert torch.load(checkpoint)["global_step"] == 2


def test_what_is_missing_is_named(folder, capsys):
    with pytest.raises(SystemExit) as end:
        main(["fit"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("seqlight: --model.model and --data are missing; `seqlight fit --help`")
    with pytest.raises(SystemExit) as end:
        main(["test", "--config", "train.yaml", "--ckpt_path", "none.ckpt"])
    assert end.value.code == 1
    assert capsys.readouterr().err.endswith("seqlight: Checkpoint file not found: none.ckpt; check the path.\n")


@pytest.mark.reliability(
    "command line", "an abbreviated or unknown option of `seqlight fit`", "exit status 2, and one line"
)
@pytest.mark.parametrize("words", [["--trainer.max_epoch", "1"], ["--confg", "x"], ["--config", "missing.yaml"]])
def test_options_that_do_not_exist(folder, capsys, words):
    with pytest.raises(SystemExit) as end:
        main(["fit", *words])
    assert end.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("seqlight: ")
    assert shown.endswith("; `seqlight fit --help` lists the options.\n")
    assert shown.count("\n") == 1
