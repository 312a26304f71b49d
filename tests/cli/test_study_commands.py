from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.cli.sequences import read_some
from seqlight.cli.study_commands import study_command
from seqlight.errors import InputError
from seqlight.studies import open_study
from study_implementations import Net

LETTERS = sl.characters(sl.random_one_hot((9, 4, 20), random_state=0))


@pytest.fixture
def data(tmp_path):
    """Nine sequences in three formats."""
    X = sl.one_hot_encode(LETTERS).numpy()
    np.save(tmp_path / "X.npy", X)
    np.savez(tmp_path / "X.npz", X=X, scale=np.arange(9.0))
    (tmp_path / "x.fa").write_text("".join(f">s{i}\n{one}\n" for i, one in enumerate(LETTERS)))
    (tmp_path / "genome.fa").write_text(">chr1\n" + "".join(LETTERS) + "\n")
    (tmp_path / "peaks.bed").write_text("".join(f"chr1\t{20 * i}\t{20 * i + 20}\n" for i in range(9)))
    return tmp_path


@pytest.mark.parametrize(("name", "more"), [("X.npy", {}), ("x.fa", {}), ("peaks.bed", {"genome": "genome.fa"})])
def test_rows_are_evenly_spaced(data, name, more):
    genome = data / more["genome"] if more else None
    (X,) = read_some(data / name, 3, genome, None, 1)
    assert sl.characters(X) == [LETTERS[0], LETTERS[4], LETTERS[8]]
    (X,) = read_some(data / name, 100, genome, None, 1)
    assert sl.characters(X) == LETTERS


def test_further_inputs_come_with_their_rows(data):
    X, scale = read_some(data / "X.npz", 3, None, None, 2)
    assert scale.tolist() == [0, 4, 8]
    assert sl.characters(X) == [LETTERS[0], LETTERS[4], LETTERS[8]]


@pytest.mark.parametrize(
    ("name", "message"),
    [("peaks.bed", "expected the genome's FASTA file as --genome"), ("x.vcf", "is a VCF file of variants")],
)
def test_data_that_cannot_be_used(data, name, message):
    (data / "x.vcf").write_text("##fileformat=VCFv4.2\n")
    with pytest.raises(InputError, match=message):
        read_some(data / name, 3, None, None, 1)


class Heads(torch.nn.Module):
    """A profile and two counts, as BPNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, x):
        return x, self.net(x)


def test_a_study_of_a_model_with_two_outputs(data, capsys):
    model = f"{Heads.__module__}.Heads"
    sys.modules.setdefault(Heads.__module__, sys.modules[__name__])
    with pytest.raises(InputError, match="a tuple of 2: give a number from 0 to 1"):
        study_command(data / "out", model, data / "x.fa")
    with pytest.raises(InputError, match="target is 2, and the model returns 2 of them"):
        study_command(data / "out", model, data / "x.fa", output=1, target=2)
    with pytest.raises(InputError, match=r"a sequence of shape \(1, 4, 10\) \(.*look at --window"):
        study_command(data / "out", model, data / "peaks.bed", genome=data / "genome.fa", window=10, output=1)
    chosen = {"implementations": "seqlight,input-x-gradient", "dtypes": "float64", "rows": 2, "threads": 1}
    study_command(data / "out", model, data / "x.fa", output=1, target=1, page=False, **chosen)
    assert "seqlight is complete" in capsys.readouterr().out
    found = open_study(data / "out")
    assert found.models == ["Heads"]
    assert found.cells["status"].tolist() == ["ok", "ok"]
    assert found.cells["miss"][0] < 1e-12
    outputs = Heads().double()(found.case("Heads").X.double())[1][:, 1]
    torch.testing.assert_close(found.outputs("Heads")[0], outputs.detach())


def test_a_suite_and_a_model_are_too_much(data):
    with pytest.raises(InputError, match="one or the other"):
        study_command(data / "out", "a.Model", suite="operations")
    with pytest.raises(InputError, match="expected both, or --suite"):
        study_command(data / "out", "a.Model")


def test_importing_the_commands_is_fast():
    code = "import sys, seqlight.cli.study_commands; assert not {'torch', 'lightning', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_part_of_a_model_and_another_alphabet(tmp_path, monkeypatch):
    (tmp_path / "heads.py").write_text(
        "from torch import nn\n\n\nclass Both(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Flatten(), nn.Linear(100, 1))\n"
    )
    (tmp_path / "x.fa").write_text(">a\nMKVLA\n>b\nMKXLA\n")
    monkeypatch.setattr("sys.path", list(sys.path))
    seen = []

    class Asked(Exception):
        pass

    def study(models, X, **settings):
        seen.append((models, X))
        raise Asked

    monkeypatch.setattr("seqlight.studies.study.Study", study)
    with pytest.raises(Asked):
        study_command(
            tmp_path / "out", f"{tmp_path}/heads.py:Both", tmp_path / "x.fa", module="net", alphabet="protein"
        )
    ((models, X),) = seen
    assert list(models) == ["Both"]
    assert type(models["Both"]) is torch.nn.Sequential
    assert sl.characters(X, "protein", allow_N=True) == ["MKVLA", "MKXLA"]
