from __future__ import annotations

import pytest
import torch

from seqlight_callbacks import AttributionRecord
from seqlight_callbacks.history import History
from seqlight_callbacks.records import save


def record(toy, epoch, n=3):
    X = toy.sequences(n)
    return AttributionRecord(epoch, X * torch.randn(n, 1, 20), torch.randn(n))


def test_attributions_come_back(toy):
    history, records = History(toy.sequences(3)), [record(toy, epoch) for epoch in (4, 0, 2)]
    for one in records:
        history.note(one)
    assert history.epochs == [0, 2, 4]
    for one in records:
        assert torch.equal(history.attributions(one.epoch), one.attributions)
        assert torch.equal(history.outputs[one.epoch], one.outputs)


def test_the_later_of_two_of_one_epoch_counts(toy):
    history, later = History(toy.sequences(3)), record(toy, 1)
    history.note(record(toy, 1))
    history.note(later)
    assert torch.equal(history.attributions(1), later.attributions)


def test_profiles_are_shares_of_what_is_positive(toy):
    history = History(toy.sequences(3))
    one = record(toy, 1)
    history.note(one)
    history.note(AttributionRecord(2, torch.zeros(3, 4, 20), torch.zeros(3)))
    positive = one.attributions.sum(dim=1).clamp_min(0).sum(dim=0).double()
    first, nothing = history.profiles()
    assert first == pytest.approx((positive / positive.sum()).numpy(), rel=1e-5)
    assert first.sum() == pytest.approx(1)
    assert not nothing.any()


def test_only_earlier_records_that_fit_are_read(toy, tmp_path):
    for epoch, n in ((0, 3), (1, 3), (2, 2), (3, 3)):
        save(record(toy, epoch, n), tmp_path / f"epoch-{epoch:03d}.npz")
    history, mine = History(toy.sequences(3)), record(toy, 1)
    history.note(mine)
    history.read(tmp_path, epoch=2, step=2)
    assert history.epochs == [0, 1]
    assert torch.equal(history.attributions(1), mine.attributions)


def test_numbers():
    history = History(torch.eye(4).unsqueeze(0))
    history.note_numbers(2, 2, {"loss": torch.tensor(0.5), "loss_step": 1.0, "loss_epoch": 0.5})
    history.note_numbers(1, 1, {"loss": 0.75, "other": 3})
    history.note_numbers(2, 2, {"late": 1.0})
    assert history.line("loss") == {1: 0.75, 2: 0.5}
    assert history.names() == ["loss", "other", "late"]
