from __future__ import annotations

import logging
import re
import warnings

import pytest
import torch

import seqlight as sl
from seqlight_callbacks.demo.report import write_report
from seqlight_callbacks.demo.run import demo
from seqlight_callbacks.demo.task import ecoli_task
from seqlight_callbacks.demo.training import PROBES, train


def numbers(text):
    return {line.split(": ")[0]: float(line.split(": ")[1]) for line in text.splitlines()[-4:] if line[-1].isdigit()}


@pytest.fixture
def runs(monkeypatch):
    """The runs that `train` returns to the demo."""
    found = []

    def kept(*args, **settings):
        found.append(train(*args, **settings))
        return found[-1]

    monkeypatch.setattr("seqlight_callbacks.demo.training.train", kept)
    return found


def check_run(run, folder):
    assert len(run.metrics) == 1
    assert {"train_loss", "valid_auroc", "attribution/delta", "seqlets/precision"} <= set(run.metrics.columns)
    assert run.test.keys() == {"test_loss", "test_auroc"}
    history = run.report.history
    assert history.epochs == [0, 1]
    assert history.attributions(history.steps[1]).shape == (PROBES, 4, 60)
    assert history.curve("train_loss") == {history.steps[1]: pytest.approx(run.metrics["train_loss"].iloc[0])}
    assert not torch.equal(run.task.model[0].weight, ecoli_task(0).model[0].weight)
    # A report can be written even if no seqlet is strong.
    run.seqlets.strong = 1e-300
    page = write_report(run, folder / "bare.html").read_text()
    for heading in ("In short", "What was trained", "How the attribution moved", "Seqlets", "All numbers"):
        assert f"<h2>{heading}</h2>" in page
    assert "seed 0" in page
    assert "NC_008253" in page


@pytest.mark.usefixtures("small_reports")
@pytest.mark.parametrize("data", ["ecoli", "planted"])
def test_end_to_end(data, tmp_path, capsys, runs):
    before = logging.getLogger("lightning.pytorch").level
    mine = tmp_path / "log" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("not of the demo")
    earlier = tmp_path / "attributions" / "epoch-009.npz"
    earlier.parent.mkdir()
    earlier.write_text("of an earlier run")
    with warnings.catch_warnings(record=True) as warned:
        demo(tmp_path, data, epochs=1)
    assert not warned
    assert logging.getLogger("lightning.pytorch").level == before
    first = capsys.readouterr()
    assert "GPU" not in first.err + first.out  # none of Lightning's notices
    assert "epoch  1/1" in first.out
    assert f"report: {tmp_path / 'report.html'}" in first.out
    names = [path.name.split("-step-")[0] for path in sorted(earlier.parent.iterdir())]
    assert names == ["epoch-000", "epoch-001"]
    assert mine.exists()
    found = numbers(first.out)
    expected = {
        "ecoli": {"share of strong seqlets that overlap the Shine-Dalgarno window"},
        "planted": {"recall of planted sites by strong seqlets", "precision of strong seqlets"},
    }[data]
    assert set(found) == {"AUROC on the test split", "convergence delta"} | expected
    assert found["convergence delta"] < 1e-5
    page = (tmp_path / "report.html").read_bytes()
    if data == "planted":  # the quicker one
        demo(tmp_path, data, epochs=1)
        assert capsys.readouterr().out == first.out
        assert (tmp_path / "report.html").read_bytes() == page
    else:
        check_run(runs[0], tmp_path)


def test_bad_settings(tmp_path):
    with pytest.raises(sl.InputError, match="epochs is 0"):
        demo(tmp_path, epochs=0)
    with pytest.raises(sl.InputError, match="seed is -1"):
        demo(tmp_path, seed=-1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("data", ["ecoli", "planted"])
def test_the_whole_demo(data, tmp_path, capsys):
    demo(tmp_path, data)
    found = numbers(capsys.readouterr().out)
    assert found["AUROC on the test split"] > 0.8
    assert found["convergence delta"] < 1e-5
    if data == "ecoli":
        assert found["share of strong seqlets that overlap the Shine-Dalgarno window"] > 0.8
    else:
        assert found["recall of planted sites by strong seqlets"] > 0.8
        assert found["precision of strong seqlets"] > 0.8
    assert len(re.findall('data-label="', (tmp_path / "report.html").read_text())) > 8
