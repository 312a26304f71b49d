from __future__ import annotations

import contextlib
import json

import numpy as np
import pandas as pd
import pytest

import seqlight as sl
from seqlight.cli.audit_command import audit_command
from seqlight.cli.main import main

MODEL = """
import torch

class Gate(torch.nn.Module):
    def forward(self, x):
        h = x[:, 0] - x[:, 1]
        return (h * torch.from_numpy(h.detach().numpy() > 0).float()).sum(dim=1, keepdim=True)

class Sum(torch.nn.Module):
    def forward(self, x):
        return (x[:, 0] - x[:, 1]).relu().sum(dim=1, keepdim=True)

class Two(Sum):
    def forward(self, x):
        return x[:, :2], super().forward(x)

class Profile(torch.nn.Module):
    def forward(self, x):
        return x[:, :2]

class One(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, 0].sum()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "audited.py").write_text(MODEL)
    np.save(tmp_path / "X.npy", sl.random_one_hot((6, 4, 20), random_state=0).numpy())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_table_is_printed_and_written(folder, capsys):
    audit_command("audited.Gate", folder / "X.npy", folder / "out")
    shown = capsys.readouterr().out
    X = sl.random_one_hot((6, 4, 20), random_state=0)[[0, 2, 3, 5]]
    from audited import Gate

    expected = sl.audit(Gate(), X)
    assert str(expected) in shown
    table = pd.read_csv(folder / "out" / "audit.tsv", sep="\t", keep_default_na=False)
    assert list(table["treatment"]) == list(expected.table["treatment"])
    said = json.loads((folder / "out" / "audit.json").read_text())
    assert said["complete"] is False
    assert said["lost"] == pytest.approx(expected.lost)
    assert said["operations"][0]["operation"] == table["operation"][0]
    assert sorted(one.name for one in (folder / "out").iterdir()) == ["audit.json", "audit.tsv"]


def test_nothing_is_written_without_out(folder, capsys):
    before = sorted(folder.iterdir())
    audit_command("audited.Sum", folder / "X.npy", rows=2, strict=True)
    assert "in 4 pairs of 2 sequences" in capsys.readouterr().out
    assert [one for one in sorted(folder.iterdir()) if one.name != "__pycache__"] == before


def test_more_rows_than_an_audit_explains_are_refused(folder):
    for rows in (0, 5):
        with pytest.raises(sl.InputError, match=f"rows is {rows}: expected 1 to 4"):
            audit_command("audited.Sum", folder / "X.npy", rows=rows)


@pytest.mark.reliability(
    "command line", "an audit of a model whose attributions are not complete, with --strict", "exit status 1"
)
def test_strict_is_for_continuous_integration(folder, capsys):
    main(["audit", "--model", "audited.Gate", "--data", "X.npy"])
    with pytest.raises(SystemExit) as end:
        main(["audit", "--model", "audited.Gate", "--data", "X.npy", "--strict"])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("seqlight: attributions of this model are not complete")


@pytest.mark.parametrize(
    ("model", "says", "target"),
    [
        ("Two", "choose a number of it, such as --target 'column(0, head=0)', with the place", "column(0, head=1)"),
        ("Profile", "choose a number of it, such as --target '(0, 0)', a place, --target counts, the sum", "(0, 0)"),
        ("One", "(rows, targets); return a number for each row from its forward", None),
    ],
)
def test_what_to_do_is_said_in_options(folder, capsys, model, says, target):
    for command in ("audit", "attribute"):
        more = (
            ["--out", "out", "--n-shuffles", "20", "--accelerator", "cpu", "--quiet"] if command == "attribute" else []
        )
        words = [command, "--model", f"audited.{model}", "--data", "X.npy", *more]
        with contextlib.suppress(SystemExit):  # an audit that refuses a model is none that failed
            main(words)
        shown = capsys.readouterr()
        text = " ".join((shown.out + shown.err).split())
        if model != "One" or command == "attribute":  # an audit explains a single row, whose number that is
            assert says in text
            assert "lambda" not in text
    if target is not None:
        main(["audit", "--model", f"audited.{model}", "--data", "X.npy", "--target", target])
        assert "Complete" in capsys.readouterr().out
