from __future__ import annotations

import pytest
import torch

from seqlight_callbacks.demo.task import TASKS, planted_task


@pytest.fixture(scope="module", params=["ecoli", "planted"])
def task(request):
    return TASKS[request.param](0)


def test_the_model_fits_the_data(task):
    with torch.no_grad():
        assert task.model(task.data.valid.X[:3].float()).shape == (3, 1)
    assert task.epochs > 1


def test_probes_have_the_motif(task):
    known = task.known(100)
    assert set(known["example_idx"]) == set(range(100))
    assert (task.data.valid.y[:100] == 1).all()
    assert set(known["motif"]) == set(task.data.motif_names)
    if task.window is not None:
        assert (known["start"] == task.window[0]).all()


def test_the_seed_decides_everything(task):
    name = "ecoli" if task.window else "planted"
    again, other = TASKS[name](0), TASKS[name](1)
    assert torch.equal(again.data.train.X, task.data.train.X)
    assert torch.equal(again.model[0].weight, task.model[0].weight)
    assert not torch.equal(other.data.train.X, task.data.train.X)
    assert not torch.equal(other.model[0].weight, task.model[0].weight)


def test_each_planted_negative_has_one_site():
    split = planted_task(0).data.valid
    n = len(split.X) // 2
    for row, start, end, motif in zip(*split.motifs, strict=True):
        same = bool((split.X[n + row, :, start:end] == split.X[row, :, start:end]).all())
        assert same or motif != row % 2
    assert (split.X.sum(dim=1) == 1).all()
