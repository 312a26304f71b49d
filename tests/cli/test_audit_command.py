from __future__ import annotations

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
        return (h * (h > 0).float()).sum(dim=1, keepdim=True)

class Sum(torch.nn.Module):
    def forward(self, x):
        return (x[:, 0] - x[:, 1]).relu().sum(dim=1, keepdim=True)
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
