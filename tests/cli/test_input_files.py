from pathlib import Path

import numpy as np
import pytest

import seqlight as sl
from seqlight.cli.attribute_command import attribute_command
from seqlight.cli.input_files import require_inputs_kept
from seqlight.cli.predict_command import predict_command


@pytest.mark.reliability(
    "command line",
    "the data lie in the folder of --out, under a name that results or exports have",
    "refused before anything is computed; the data stay as they are",
)
@pytest.mark.parametrize("name", ["sequences.fa", "seqlets.fa"])
def test_data_that_would_be_replaced(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(">a\nACGTRACGT\n")
    for command in (attribute_command, predict_command):
        for out in (Path(), tmp_path):
            with pytest.raises(
                sl.InputError, match=f"data is {name}, and seqlight writes files of that name into --out"
            ):
                command("torch.nn.Identity", Path(name), out)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_checkpoint_and_a_genome(tmp_path):
    for option, given in {
        "checkpoint": [tmp_path / "a.pt", tmp_path / "predictions.h5"],
        "genome": tmp_path / "sequences.fa",
    }.items():
        with pytest.raises(sl.InputError, match=f"{option} is "):
            require_inputs_kept(tmp_path, **{option: given})


def test_other_files_may_lie_there(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((1, 4, 5)))
    require_inputs_kept(tmp_path, data=tmp_path / "X.npy", genome=None, checkpoint=tmp_path / "best.ckpt")
    require_inputs_kept(tmp_path / "run", data=tmp_path / "sequences.fa", genome=tmp_path / "predictions.npz")
    require_inputs_kept(tmp_path, data={"class_path": "mine.Data"}, checkpoint=tmp_path / "fold_0" / "sequences.fa")
