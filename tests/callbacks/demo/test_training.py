from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

import seqlight as sl
from seqlight_callbacks.demo.report import write_report
from seqlight_callbacks.demo.task import ecoli_task
from seqlight_callbacks.demo.training import PROBES, train


def test_a_run_has_what_its_report_tells(tmp_path):
    task = ecoli_task(0)
    before = logging.getLogger("lightning.pytorch").level
    untrained = task.model[0].weight.detach().clone()
    run = train(task, tmp_path, 1, 0)
    assert logging.getLogger("lightning.pytorch").level == before
    assert len(run.metrics) == 1
    assert {"train_loss", "valid_auroc", "attribution/delta", "seqlets/precision"} <= set(run.metrics.columns)
    assert run.test.keys() == {"test_loss", "test_auroc"}
    history = run.report.history
    assert history.epochs == [0, 1]
    assert history.attributions(history.steps[1]).shape == (PROBES, 4, 60)
    assert history.line("train_loss") == {history.steps[1]: pytest.approx(run.metrics["train_loss"].iloc[0])}
    assert not torch.equal(task.model[0].weight, untrained)
    # Without one strong seqlet there is a report all the same.
    run.seqlets.strong = 1e-300
    page = write_report(run, tmp_path / "bare.html").read_text()
    for heading in ("In short", "What was trained", "How the attribution moved", "Seqlets", "All numbers"):
        assert f"<h2>{heading}</h2>" in page
    assert "seed 0" in page
    assert "NC_008253" in page
    with pytest.raises(sl.InputError, match="epochs is 0"):
        train(replace(task), tmp_path, 0, 0)
