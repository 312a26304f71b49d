from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import seqlight as sl
from seqlight.prediction import progress
from seqlight.prediction.progress import ProgressLines, open_progress


@pytest.fixture
def clock(monkeypatch):
    found = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: found.now)
    return found


def test_lines_are_rare(clock, capsys):
    with open_progress(1000, "rows", "predict") as shown:
        assert isinstance(shown, ProgressLines)
        for _ in range(100):
            clock.now += 0.25
            shown.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "predict: 40% 400/1000 rows, 40 rows/s, 15.0 s left",
        "predict: 80% 800/1000 rows, 40 rows/s, 5.0 s left",
        "predict: 100% 1000/1000 rows in 25.0 s, 40 rows/s",
    ]
    shown.close()
    assert not capsys.readouterr().err


def test_work_that_ends_early_says_where(clock, capsys):
    def fail():
        with open_progress(30, "rows") as shown:
            clock.now += 6
            shown.update(3)
            raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        fail()
    assert capsys.readouterr().err == "10% 3/30 rows in 6.0 s, 0.5 rows/s\n"


def test_a_total_may_be_unknown_or_nothing(clock, capsys):
    with open_progress(None, "rows") as shown:
        clock.now += 10
        shown.update(20)
    assert capsys.readouterr().err == "20 rows, 2 rows/s\n20 rows in 10.0 s, 2 rows/s\n"
    with open_progress(20, "cells", "study") as shown:
        shown.set_postfix_str("a model", refresh=False)
        clock.now += 10
        shown.update(5)
    assert "study: 25% 5/20 cells, 0.5 cells/s, 30.0 s left, a model\n" in capsys.readouterr().err
    with open_progress(0, "rows"), open_progress(5, "rows", show=False) as shown:
        shown.update(5)
    assert not capsys.readouterr().err


def test_a_terminal_has_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with open_progress(4, "rows", "predict") as shown:
        shown.update(4)
    text = capsys.readouterr().err
    assert "\r" in text
    assert "predict: 100%" in text
    assert "rows/s" in text


@pytest.mark.reliability(
    "command line", "progress into a file or a pipe", "plain lines, at most one in ten seconds, no carriage returns"
)
def test_no_method_writes_carriage_returns_into_a_file(capsys):
    import torch

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    sl.predict(model, X, verbose=True, device="cpu")
    sl.deep_lift_shap(model, X, n_shuffles=2, verbose=True, device="cpu")
    sl.attribute(model, X, n_shuffles=2, verbose=True, device="cpu")
    sl.saturation_mutagenesis(model, X, verbose=True, device="cpu")
    sl.input_x_gradient(model, X, verbose=True, device="cpu")
    shown = capsys.readouterr().err
    assert "\r" not in shown
    assert [line.partition(" in ")[0] for line in shown.splitlines()] == [
        "predict: 100% 3/3 rows", "100% 3/3 sequences", "100% 3/3 sequences", "100% 240/240 mutants",
        "100% 3/3 sequences",
    ]  # fmt: skip
