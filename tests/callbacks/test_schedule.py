"""Which records there are, and their names: with several validations in an epoch, with none, or one in several."""

from __future__ import annotations

import itertools

import lightning.pytorch as L
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionReport, LogoCallback, SeqletCallback
from seqlight_callbacks.records import load_record
from seqlight_callbacks.schedule import Schedule


def names(folder):
    return sorted(path.name.split(".")[0] for path in folder.iterdir())


class Unwritten(AttributionReport):
    """A report of which only the history is looked at."""

    def sections(self, ending=""):
        return []

    def write(self, path, sections=None):
        return path


def named(*pairs):
    return [f"epoch-{epoch:03d}-step-{step:08d}" for epoch, step in pairs]


@pytest.mark.reliability(
    "several validations in an epoch",
    "`val_check_interval=0.5`, with every callback",
    "a record, a table, a picture and a point of the report for each, named by epoch and step",
)
def test_each_validation_inside_an_epoch_is_kept(toy, tmp_path):
    first = toy.attribution(out=tmp_path / "records", untrained=True)
    report = AttributionReport(examples=(0,))
    mine = [first, SeqletCallback(threshold=0.3, out=tmp_path / "tables"), LogoCallback(examples=(0,), end=8), report]
    toy.fit(mine, val_check_interval=0.5, max_epochs=1)
    steps = [0, 3, 6]
    assert names(tmp_path / "records") == named((0, 0), (1, 3), (1, 6))
    assert names(tmp_path / "tables") == names(tmp_path / "records")
    assert [name.removeprefix("logos-") for name in names(tmp_path / "figures")] == names(tmp_path / "records")
    records = [load_record(path) for path in sorted((tmp_path / "records").iterdir())]
    assert [(one.epoch, one.step) for one in records] == [(0, 0), (1, 3), (1, 6)]
    assert not any(torch.equal(a.attributions, b.attributions) for a, b in itertools.pairwise(records))
    history = report.history
    assert history.steps == steps
    for name in ("valid_loss", "attribution/magnitude", "seqlets/count"):
        assert list(history.curve(name)) == steps[1:]
    assert list(history.curve("train_loss")) == [6]
    for record in records[1:]:
        size = float(record.attributions.sum(dim=1).abs().mean())
        assert history.curve("attribution/magnitude")[record.step] == pytest.approx(size, rel=1e-5)
    labels = ["before training", "epoch 1, step 3", "after epoch 1"]
    assert [history.label(step) for step in steps] == labels
    page = (tmp_path / "report.html").read_text()
    assert "each time at 2 steps of an epoch, and before the first." in page
    assert all(f'data-label="{label}"' in page for label in labels)


@pytest.mark.parametrize(
    ("settings", "trainer", "expected"),
    [
        ({"every_n_validations": 2}, {"val_check_interval": 1 / 3}, [(1, 4), (2, 8), (2, 12)]),
        ({"every_n_epochs": 2}, {"val_check_interval": 0.5}, [(2, 9), (2, 12)]),
        ({"every_n_epochs": 2, "every_n_validations": 4}, {"val_check_interval": 0.5}, [(2, 12)]),
        ({}, {"val_check_interval": 5, "check_val_every_n_epoch": None}, [(1, 5), (2, 10)]),
        ({}, {"check_val_every_n_epoch": 2, "max_epochs": 3}, [(2, 12)]),
        ({}, {"max_epochs": -1, "max_steps": 8, "val_check_interval": 0.5}, [(1, 3), (1, 6)]),
        ({}, {"num_sanity_val_steps": 2, "max_epochs": 1}, [(1, 6)]),
        ({"on": "train"}, {"val_check_interval": 0.5}, [(1, 6), (2, 12)]),
    ],
    ids=["every 2nd", "2nd epochs", "both", "over epochs", "every 2nd epoch", "max_steps", "sanity check", "train"],
)
def test_which_validations_are_attributed(toy, tmp_path, settings, trainer, expected):
    callback = toy.attribution(out=tmp_path / "out", **settings)
    toy.fit([callback, NothingInSanityCheck(callback)], limit_val_batches=1, **trainer)
    assert names(tmp_path / "out") == named(*expected)
    assert (callback.record.epoch, callback.record.step) == expected[-1]


class NothingInSanityCheck(L.Callback):
    """Asserts that nothing was recorded in the sanity check."""

    def __init__(self, callback):
        self.callback = callback

    def on_sanity_check_end(self, trainer, pl_module):
        assert self.callback.record is None


def test_a_data_set_without_a_length(toy, tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([(x, y) for x, y in toy.data().splits["train"]])

    callback = toy.attribution(out=tmp_path / "out")
    loaders = [torch.utils.data.DataLoader(Stream(), batch_size=4) for _ in range(2)]
    trainer = toy.trainer([callback], max_epochs=-1, max_steps=4, val_check_interval=2, limit_val_batches=1)
    trainer.fit(TrainModule(toy.network()), *loaders)
    assert names(tmp_path / "out") == named((1, 2))


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@pytest.mark.reliability(
    "several validations in an epoch",
    "a training that goes on from a checkpoint of the middle of an epoch",
    "it goes on counting and comparing, and the report has all points of both halves",
)
def test_a_training_goes_on_in_the_middle_of_an_epoch(toy, tmp_path):
    class Keep(L.Callback):
        def on_validation_end(self, trainer, pl_module):
            if trainer.global_step == 4:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    def fit(path=None, **settings):
        first = toy.attribution(out=tmp_path / "out", every_n_validations=2)
        report = Unwritten()
        callbacks = [first, report, Keep()]
        toy.fit(callbacks, ckpt_path=path, val_check_interval=2, limit_val_batches=1, **settings)
        return first, report

    fit(max_epochs=1)
    assert names(tmp_path / "out") == named((1, 4))
    _, report = fit(str(tmp_path / "middle.ckpt"), max_epochs=2)
    assert names(tmp_path / "out") == named((1, 4), (2, 8), (2, 12))
    assert report.history.steps == [4, 8, 12]
    assert list(report.history.curve("valid_loss")) == [2, 4, 6, 8, 10, 12]
    assert 0.1 < report.history.curve("attribution/similarity")[8] < 1


def test_numbers_of_the_middle_are_in_the_checkpoint(toy, tmp_path):
    state = {}

    class Keep(L.Callback):
        def on_validation_end(self, trainer, pl_module):
            if trainer.global_step == 3:
                state.update(report.state_dict())

    report = Unwritten()
    toy.fit([toy.attribution(), report, Keep()], val_check_interval=0.5, max_epochs=1)
    torch.save(state, tmp_path / "state.pt")
    # Plain dicts and numbers, so that a checkpoint can be loaded without trusting it.
    assert list(torch.load(tmp_path / "state.pt", weights_only=True)["numbers"]) == [3, 6]


@pytest.mark.reliability(
    "several validations in an epoch",
    "`trainer.validate` after `trainer.fit`, with `out`",
    "a file of its own name; the record of the training stays",
)
def test_validation_alone_replaces_nothing(toy, tmp_path):
    callback = toy.attribution(out=tmp_path / "out")
    fitted = toy.fit([callback], max_epochs=1)
    kept = load_record(tmp_path / "out" / f"{named((1, 6))[0]}.npz")
    with torch.no_grad():
        fitted.module.model[-1].weight.mul_(2)
    fitted.trainer.validate(fitted.module, toy.data(), verbose=False)
    assert names(tmp_path / "out") == [*named((1, 6)), f"validate-{named((1, 6))[0]}"]
    assert torch.equal(load_record(tmp_path / "out" / f"{named((1, 6))[0]}.npz").attributions, kept.attributions)
    assert load_record(tmp_path / "out" / f"validate-{named((1, 6))[0]}.npz").stage == "validate"


def test_validations_between_two_steps_are_one_record(toy, tmp_path):
    report = Unwritten()
    mine = [toy.attribution(out=tmp_path / "out", untrained=True), report]
    toy.fit(mine, accumulate_grad_batches=4, val_check_interval=2, limit_val_batches=1)
    # Batches 2, 4, 6 and 2, 4, 6, with a step after 4 and at the end of each epoch.
    assert names(tmp_path / "out") == named((0, 0), (1, 0), (1, 1), (1, 2), (2, 2), (2, 3), (2, 4))
    assert report.history.steps == [0, 1, 2, 3, 4]
    labels = ["before training", "epoch 1, step 1", "after epoch 1", "epoch 2, step 3", "after epoch 2"]
    assert [report.history.label(step) for step in report.history.steps] == labels


def test_a_trainer_that_goes_on_has_all_numbers(toy, tmp_path):
    report = Unwritten()
    fitted = toy.fit([toy.attribution(out=tmp_path / "out"), report], max_epochs=1)
    fitted.trainer.fit_loop.max_epochs = 2
    fitted.trainer.fit(fitted.module, toy.data())
    assert report.history.steps == list(report.history.curve("valid_loss")) == [6, 12]


@pytest.mark.reliability(
    "several validations in an epoch",
    "`check_val_every_n_epoch`, `every_n_epochs` or `every_n_validations` larger than the training",
    "a warning at the end that nothing was recorded, and why",
)
@pytest.mark.parametrize(
    ("settings", "trainer"),
    [
        ({}, {"check_val_every_n_epoch": 5}),
        ({"every_n_epochs": 3}, {}),
        ({"every_n_validations": 9}, {}),
        ({"on": "train", "every_n_epochs": 3}, {}),
    ],
)
def test_a_schedule_that_is_never_due_is_a_warning(toy, settings, trainer):
    with pytest.warns(sl.SeqlightWarning, match="'attribution' recorded nothing, since nothing was due: a"):
        toy.fit([toy.attribution(**settings)], limit_train_batches=1, limit_val_batches=1, **trainer)


def test_steps_by_hand_are_counted_in_batches(toy, tmp_path):
    class ByHand(TrainModule):
        automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers(use_pl_optimizer=False)
            optimizer.zero_grad()
            self._loss(batch)[0].backward()
            optimizer.step()

    callback, report = toy.attribution(out=tmp_path / "out", untrained=True), Unwritten()
    trainer = toy.fit([callback, report], module=ByHand(toy.network()), val_check_interval=0.5).trainer
    assert trainer.global_step == 0
    assert names(tmp_path / "out") == named((0, 0), (1, 3), (1, 6), (2, 9), (2, 12))
    assert report.history.steps == [0, 3, 6, 9, 12]


@pytest.mark.reliability(
    "callbacks in other trainings",
    "gradients accumulated by hand over three batches, and a validation after each batch",
    "a record for each validation, named by batches",
)
def test_accumulating_by_hand_loses_no_record(toy, tmp_path):
    class Accumulating(TrainModule):
        automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            self.manual_backward(self._loss(batch)[0])
            if batch_idx % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()

    settings = {"val_check_interval": 1, "limit_train_batches": 4, "limit_val_batches": 1}
    callback = toy.attribution(out=tmp_path / "out")
    trainer = toy.fit([callback], module=Accumulating(toy.network()), **settings).trainer
    assert trainer.global_step == 2
    assert names(tmp_path / "out") == named(*((1 + (step > 4), step) for step in range(1, 9)))


def test_validations_can_only_be_counted_where_there_are_some(toy):
    with pytest.raises(sl.InputError, match="every_n_validations is 2 and on is 'train'"):
        toy.attribution(every_n_validations=2, on="train")
    with pytest.raises(sl.InputError, match="every_n_validations is 0"):
        toy.attribution(every_n_validations=0)


@given(st.integers(1, 4), st.integers(1, 5), st.lists(st.integers(1, 3), min_size=1, max_size=30), st.integers(0, 29))
def test_a_schedule_that_was_interrupted_goes_on_the_same(epochs, validations, gaps, cut):
    steps = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    moments = [(1 + step // 4, step) for step in steps]
    whole = Schedule(epochs, validations)
    due = [whole.advance(*moment) for moment in moments]
    assert due == [e % epochs == 0 and (i + 1) % validations == 0 for i, (e, _) in enumerate(moments)]
    first, second = Schedule(epochs, validations), Schedule(epochs, validations)
    for moment in moments[:cut]:
        first.advance(*moment)
    second.load_state_dict(first.state_dict())
    # The last before the cut may come again.
    again = max(min(cut, len(moments)) - 1, 0)
    assert [second.advance(*moment) for moment in moments[again:]] == due[again:]
