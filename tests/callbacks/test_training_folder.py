from __future__ import annotations

import re

import lightning.pytorch as L
import pytest
import torch

import seqlight as sl
from seqlight_callbacks import AttributionRecord, AttributionReport, SeqletCallback
from seqlight_callbacks.records import load_record, save_record
from seqlight_callbacks.training_folder import TrainingFolder


class StepCounter(L.Callback):
    """Counts the steps."""

    steps = 0

    def on_train_batch_start(self, *args):
        self.steps += 1


@pytest.mark.reliability(
    "the folder of a callback",
    "`out` is a file, or lies in one",
    "an error before the first step that names the callback and the file",
)
@pytest.mark.parametrize("kind", ["attribution", "seqlets"])
@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_file_is_no_folder(toy, tmp_path, kind, below):
    (tmp_path / "file").write_text("in the way")
    settings = {kind: {"out": tmp_path / "file" / below}}
    stepped = StepCounter()
    mine = [toy.attribution(**settings.get("attribution", {})), SeqletCallback(**settings.get("seqlets", {}))]
    message = "Callback '" + kind + r"': out is '.*file.*', (which|and .*file) is a file: expected a folder"
    with pytest.raises(sl.InputError, match=message):
        toy.fit([stepped, *mine])
    assert stepped.steps == 0
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.reliability(
    "the folder of a callback",
    "`out` is an address, such as s3://bucket",
    "an error before the first step that names the callback and the address; no folder of that name is made",
)
def test_an_address_is_no_folder(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for bad, message in (
        ([toy.attribution(out="s3://bucket/a")], "AttributionCallback 'attribution': out is 's3:.*', an address"),
        (
            [toy.attribution(), SeqletCallback(out="gs://bucket")],
            "SeqletCallback 'seqlets': out is 'gs:.*', an address",
        ),
    ):
        stepped = StepCounter()
        with pytest.raises(sl.InputError, match=message):
            toy.fit([stepped, *bad])
        assert stepped.steps == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "message"),
    [("s3://bucket/a.html", "an address"), ("file/a.html", "file is a file|which is a file"), ("there", "is a folder")],
)
def test_a_report_that_cannot_be_written_is_a_warning_before_the_first_step(toy, tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "there").mkdir()
    with pytest.warns(sl.SeqlightWarning, match=rf"^AttributionReport 'report' cannot be written: .*({message})"):
        toy.fit([toy.attribution(), AttributionReport(path=path)], fast_dev_run=True)
    assert {one.name for one in tmp_path.iterdir()} == {"file", "there"}


@pytest.mark.parametrize("bad", [3, b"out", ["out"]])
def test_other_types_than_paths_are_refused_when_the_callback_is_made(toy, bad):
    with pytest.raises(sl.InputError, match=r"out is an? .*: expected a path"):
        toy.attribution(out=bad)
    with pytest.raises(sl.InputError, match=r"out is an? .*: expected a path"):
        SeqletCallback(out=bad)
    with pytest.raises(sl.InputError, match=r"path is an? .*: expected a path"):
        AttributionReport(path=bad)


def test_a_link_to_nowhere_is_no_folder(toy, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(sl.InputError, match="is a broken link: expected a folder"):
        toy.fit([toy.attribution(out=tmp_path / "link")])
    # A link to a folder is one.
    (tmp_path / "nowhere").mkdir()
    toy.fit([toy.attribution(out=tmp_path / "link")], max_epochs=1, limit_train_batches=1)
    assert len(list((tmp_path / "nowhere").iterdir())) == 1


def test_a_folder_is_made_when_there_is_something_to_write(toy, tmp_path):
    out = tmp_path / "made" / "for it"
    toy.fit([toy.attribution(out=out)], fast_dev_run=True)
    assert not out.exists()
    toy.fit([toy.attribution(out=out)], max_epochs=1, limit_train_batches=1)
    assert [path.name for path in out.iterdir()] == ["epoch-001-step-00000001.npz"]


def record(step):
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    return AttributionRecord(1, X * torch.rand(2, 1, 20), torch.zeros(2), step=step)


class Other(L.Callback):
    """Writes a record to a folder during the training, as another training would."""

    def __init__(self, folder, step):
        self.folder, self.theirs = folder, record(step)

    def on_validation_start(self, trainer, pl_module):
        if trainer.global_step == 1:
            save_record(self.theirs, self.folder / f"{self.theirs.name}.npz")


@pytest.mark.reliability(
    "the folder of a callback",
    "two trainings write into one folder at the same time",
    "a warning; neither replaces a record of the other",
)
@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            1,
            r"did not write the record of epoch 1, step 1.*epoch-001-step-00000001.npz exists already, and ",
        ),
        (7, r"another training writes its records to .*: give each its own `out`"),
    ],
    ids=["the same name", "other names"],
)
def test_two_trainings_into_one_folder(toy, tmp_path, step, message):
    other = Other(tmp_path / "out", step)
    with pytest.warns(sl.SeqlightWarning) as warned:
        toy.fit([other, toy.attribution(out=tmp_path / "out")], limit_train_batches=1)
    messages = [str(one.message) for one in warned if one.category is sl.SeqlightWarning]
    assert re.search(message, messages[0])
    # The warning comes once.
    assert sum(one.startswith("another training") for one in messages) == 1
    theirs = load_record(tmp_path / "out" / f"{other.theirs.name}.npz")
    assert torch.equal(theirs.attributions, other.theirs.attributions)
    names = {"epoch-001-step-00000001.npz", "epoch-002-step-00000002.npz", f"{other.theirs.name}.npz"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


def test_two_callbacks_into_one_folder_are_refused(toy, tmp_path):
    two = [toy.attribution(out=tmp_path, name=name) for name in ("one", "two")]
    with pytest.raises(
        sl.InputError, match=r"AttributionCallback 'one' and 'two' write to the same folder, .*its own `out`"
    ):
        toy.fit(two)
    seqlets = [SeqletCallback(out=tmp_path, name=name) for name in ("one", "two")]
    with pytest.raises(sl.InputError, match="SeqletCallback 'one' and 'two' write to the same folder"):
        toy.fit([toy.attribution(), *seqlets])
    # Records and tables have different names.
    toy.fit([toy.attribution(out=tmp_path), SeqletCallback(out=tmp_path)], max_epochs=1, limit_train_batches=1)


def test_a_training_that_goes_on_may_replace_what_was_there(tmp_path):
    folder = TrainingFolder(tmp_path, ".npz", "records")
    save_record(record(3), folder.path_for("epoch-001-step-00000003"))
    folder.begin(resumed=True)
    for _ in range(2):
        save_record(record(3), folder.path_for("epoch-001-step-00000003"))
    with pytest.warns(sl.SeqlightWarning, match="holds 1 records of an earlier training"):
        folder.begin(resumed=False)


def test_a_damaged_record_is_left_out_of_a_training_that_goes_on(toy, tmp_path):
    callback = toy.attribution(out=tmp_path)
    path = tmp_path / "epoch-001-step-00000006.npz"
    for content in (b"", b"PK\x03\x04 half of it", b"text"):
        path.write_bytes(content)
        with pytest.warns(sl.SeqlightWarning, match=r"epoch-001-step-00000006\.npz cannot be read as a record"):
            callback.load_state_dict({"epoch": 1, "step": 6})
        assert callback.record is None


def test_a_record_of_an_earlier_version_is_read(toy, tmp_path):
    X = toy.sequences(2, seed=3)
    old = AttributionRecord(3, X * 0.5, torch.zeros(2))
    save_record(old, tmp_path / f"{old.name}.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-003.npz"]
    callback = toy.attribution(2, out=tmp_path)
    callback.load_state_dict({"epoch": 3})
    assert callback.record.epoch == 3
    assert callback.record.step is None
    assert torch.equal(callback.record.attributions, old.attributions)
