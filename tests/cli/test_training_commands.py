from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

import seqlight as sl
from seqlight.cli.main import main
from seqlight.cli.trained_model import checkpoint_lines
from seqlight.cli.training_help import training_help

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
    main(["fit", "--config", "train.yaml", "--trainer.limit_train_batches", "3", "--model.model.hidden", "8"])
    out = capsys.readouterr().out
    assert "mine: 3 steps" in out
    (checkpoint,) = folder.glob("checkpoints/*.ckpt")
    assert out.splitlines()[-2] == f"last checkpoint: {checkpoint.relative_to(folder)}"
    # The line that it suggests runs as it stands, but for what it cannot know.
    suggested = shlex.split(out.splitlines()[-1].removeprefix("next: seqlight "))
    assert suggested[suggested.index("--init_args") + 1 :][:2] == ["hidden=8", "--checkpoint"]
    sl.write_fasta(folder / "a.fa", sl.random_one_hot((2, 4, 60), random_state=0))
    main(
        [{"FILE": "a.fa", "FOLDER": "found"}.get(one, one) for one in suggested]
        + ["--n-shuffles", "2", "--accelerator", "cpu", "--quiet"]
    )
    assert sl.open_results(folder / "found")["attributions"].shape == (2, 4, 60)
    capsys.readouterr()
    with pytest.raises(SystemExit):  # the trainer keeps no last checkpoint, and would begin anew
        main(["fit", "--config", "train.yaml", "--model.model.hidden", "8", "--ckpt_path", "last"])
    assert f"give the newest, {checkpoint}; it finds" in capsys.readouterr().err
    main(["test", "--config", "train.yaml", "--model.model.hidden", "8", "--ckpt_path", str(checkpoint)])
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


@pytest.mark.parametrize(
    ("kept", "lines", "best"),
    [
        ([], ["no checkpoint was written, as the trainer was told"], None),
        ([("", "", None, None)], ["no checkpoint was written, as the trainer was told"], None),
        ([("a", "", None, None)], ["last checkpoint: a"], "a"),
        (
            [("/else/a", "b", "valid_loss", torch.tensor(0.25))],
            ["best checkpoint, valid_loss = 0.25: /else/a", "last checkpoint: b"],
            "/else/a",
        ),
        (
            [("b", "", None, None), ("a", "a", "loss", None)],
            ["best checkpoint, loss: a", "last checkpoint: b"],
            "a",
        ),
    ],
)
def test_the_checkpoints_that_are_named(kept, lines, best):
    names = ("best_model_path", "last_model_path", "monitor", "best_model_score")
    callbacks = [SimpleNamespace(**dict(zip(names, one, strict=True))) for one in kept]
    assert checkpoint_lines([*callbacks, object()]) == (lines, best)


@pytest.mark.parametrize("name", ["fit", "validate", "test"])
def test_the_help_fits_on_a_screen_and_names_options_that_exist(name, capsys):
    main([name, "--help"])
    text = capsys.readouterr().out
    assert text == training_help(name)
    assert text.startswith(f"usage: seqlight {name} --config FILE.yaml ")
    assert max(map(len, text.splitlines())) <= 80
    main([name, "--help-all"])
    every = capsys.readouterr().out
    options = set(re.findall(r"--[a-z_]+(?:\.[a-z_]+)?(?= |$|;)", text, re.MULTILINE))
    classes = {"--model.optimizer", "--model.scheduler", "--data", "--data.train", "--data.valid", "--data.test"}
    others = {"--debug", "--help", "--data.help"}
    assert {"--trainer.devices", "--config"} <= options
    assert {one for one in options - classes - others if f"{one} " not in every and f"{one}]" not in every} == set()


@pytest.mark.filterwarnings("ignore")  # as above, whichever test is the first
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


@pytest.mark.parametrize(
    ("typed", "place"), [("max_epochs", "trainer.max_epochs"), ("batch_size", "data.batch_size"), ("width", None)]
)
def test_an_option_without_its_place_is_told(folder, capsys, typed, place):
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", "train.yaml", f"--{typed}", "1"])
    assert end.value.code == 2
    told = f"there is no option --{typed}; here it is --{place};" if place else "unrecognized arguments: --width 1;"
    assert capsys.readouterr().err.startswith(f"seqlight: {told}")


@pytest.mark.reliability(
    "command line",
    "a callback of `seqlight fit` without an argument that it needs, or with a value that it refuses",
    "one line that names the callback, and the argument or what was refused",
)
@pytest.mark.filterwarnings("ignore")  # of Lightning and of the parser it uses
@pytest.mark.parametrize(
    ("init_args", "says"),
    [
        ({"n_shuffles": 2}, "seqlight: --trainer.callbacks is seqlight_callbacks.AttributionCallback, which needs seq"),
        (
            {"sequences": "a.bed"},
            "seqlight: AttributionCallback 'attribution': sequences is the file 'a.bed': expected",
        ),
    ],
)
def test_a_callback_that_cannot_be_made(folder, capsys, init_args, says):
    (folder / "a.bed").write_text("chr1\t0\t60\n")
    settings = yaml.safe_load((folder / "train.yaml").read_text())
    callback = {"class_path": "seqlight_callbacks.AttributionCallback", "init_args": init_args}
    settings["trainer"]["callbacks"] = [callback]
    (folder / "train.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(SystemExit):
        main(["fit", "--config", "train.yaml"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(says)
    assert "subclass" not in said


def test_a_module_of_ones_own_is_no_network(folder, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config", "train.yaml", "--model", "mine.Lit"])
    assert capsys.readouterr().err.startswith(
        "seqlight: --model is mine.Lit, which is no YAML file: expected a network"
    )
