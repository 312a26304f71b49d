from __future__ import annotations

import pytest
import torch

import seqlight as sl
from seqlight_callbacks import AttributionRecord
from seqlight_callbacks.history import History
from seqlight_callbacks.records import save_record


def record(toy, epoch, n=3):
    X = toy.sequences(n)
    return AttributionRecord(epoch, X * torch.randn(n, 1, 20), torch.randn(n))


def test_attributions_can_be_restored(toy):
    history, records = History(toy.sequences(3)), [record(toy, epoch) for epoch in (4, 0, 2)]
    for one in records:
        history.add_record(one)
    assert history.epochs == [0, 2, 4]
    for one in records:
        assert torch.equal(history.attributions(one.epoch), one.attributions)
        assert torch.equal(history.outputs[one.epoch], one.outputs)


def test_the_later_of_two_records_at_a_step_counts(toy):
    history, later = History(toy.sequences(3)), record(toy, 1)
    history.add_record(record(toy, 1))
    history.add_record(later)
    assert torch.equal(history.attributions(1), later.attributions)


def test_profiles_are_shares_of_what_is_positive(toy):
    history = History(toy.sequences(3))
    one = record(toy, 1)
    history.add_record(one)
    history.add_record(AttributionRecord(2, torch.zeros(3, 4, 20), torch.zeros(3)))
    positive = one.attributions.sum(dim=1).clamp_min(0).sum(dim=0).double()
    first, nothing = history.profiles()
    assert first == pytest.approx((positive / positive.sum()).numpy(), rel=1e-5)
    assert first.sum() == pytest.approx(1)
    assert not nothing.any()


def test_only_earlier_records_that_fit_are_read(toy, tmp_path):
    for epoch, n in ((0, 3), (1, 3), (2, 2), (3, 3)):
        save_record(record(toy, epoch, n), tmp_path / f"epoch-{epoch:03d}.npz")
    history, mine = History(toy.sequences(3)), record(toy, 1)
    history.add_record(mine)
    history.read_folder(tmp_path, epoch=2, step=2)
    assert history.epochs == [0, 1]
    assert torch.equal(history.attributions(1), mine.attributions)


def test_numbers():
    history = History(torch.eye(4).unsqueeze(0))
    history.add_scalars(2, 2, {"loss": torch.tensor(0.5), "loss_step": 1.0, "loss_epoch": 0.5})
    history.add_scalars(1, 1, {"loss": 0.75, "other": 3})
    history.add_scalars(2, 2, {"late": 1.0})
    assert history.curve("loss") == {1: 0.75, 2: 0.5}
    assert history.scalar_names() == ["loss", "other", "late"]


def test_a_step_is_named_by_its_epoch_if_that_ended_there(toy):
    history = History(toy.sequences(3))
    for epoch, step in ((0, 0), (1, 5), (1, 10), (2, 15)):
        history.add_record(AttributionRecord(epoch, torch.zeros(3, 4, 20), torch.zeros(3), step=step))
    history.end_epoch(1, 10)
    labels = ["before training", "epoch 1, step 5", "after epoch 1", "epoch 2, step 15"]
    assert [history.label(step) for step in history.steps] == labels
    assert history.epochs == [0, 1, 1, 2]
    assert not history.only_epoch_ends


@pytest.mark.reliability(
    "several validations in an epoch",
    "a training that goes on from a checkpoint and a folder of an earlier version, by epoch",
    "what was recorded and logged stands at the step where each epoch ended",
)
def test_files_and_states_of_an_earlier_version_are_read(toy, tmp_path):
    for epoch in (0, 1, 2):
        save_record(record(toy, epoch), tmp_path / f"epoch-{epoch:03d}.npz")
    history = History(toy.sequences(3))
    history.load_state_dict({"numbers": {1: {"loss": 0.5}, 2: {"loss": 0.4}}}, epoch=2, step=200)
    history.read_folder(tmp_path, epoch=2, step=200)
    assert history.steps == [0, 100, 200]
    assert history.curve("loss") == {100: 0.5, 200: 0.4}
    assert [history.label(step) for step in history.steps] == ["before training", "after epoch 1", "after epoch 2"]


def test_the_state_can_be_restored(toy):
    history, again = History(toy.sequences(3)), History(toy.sequences(3))
    history.add_scalars(1, 5, {"loss": 0.5})
    history.add_scalars(1, 10, {"loss": 0.4})
    history.end_epoch(1, 10)
    again.load_state_dict(history.state_dict(), epoch=1, step=10)
    assert again.state_dict() == history.state_dict()
    assert again.label(10) == "after epoch 1"


def test_records_after_the_checkpoint_are_not_read(toy, tmp_path):
    for epoch, step in ((1, 5), (1, 10), (2, 15)):
        one = AttributionRecord(epoch, torch.zeros(3, 4, 20), torch.zeros(3), step=step)
        save_record(one, tmp_path / f"{one.name}.npz")
    (tmp_path / "epoch-001-step-00000007.npz").write_bytes(b"damaged")
    history = History(toy.sequences(3))
    with pytest.warns(sl.SeqlightWarning, match="cannot be read as a record.*left out"):
        history.read_folder(tmp_path, epoch=1, step=10)
    assert history.steps == [5, 10]
