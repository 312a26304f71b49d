from __future__ import annotations

import errno
import logging

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seqlight as sl
from seqlight.lit import PredictModule, ShardedDataModule, ShardWriter
from seqlight.lit.output_arrays import named_arrays
from seqlight.results.run_folder import claim_folder
from seqlight.results.shards import shard_path

X = sl.random_one_hot((11, 4, 12), random_state=0)


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))


def predict(trainer, out, model=None, data=X, shard_rows=3, batch_size=2, func=None, more=(), **settings):
    writer = ShardWriter(out, shard_rows)
    rows = ShardedDataModule(data, batch_size=batch_size)
    trainer(callbacks=[writer, *more], **settings).predict(
        PredictModule(model or linear(), func), datamodule=rows, return_predictions=False
    )
    return sl.open_results(out)


class Interrupt(L.Callback):
    def __init__(self, batch, error=None):
        self.batch, self.error = batch, error or RuntimeError("stop here")

    def on_predict_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if batch_idx == self.batch:
            raise self.error


def same(found, expected):
    assert found.names == expected.names
    for name in expected:
        np.testing.assert_array_equal(found[name].numpy(), expected[name].numpy())


def test_every_row_in_order(trainer, tmp_path):
    found = predict(trainer, tmp_path / "new" / "out")
    np.testing.assert_allclose(found["predictions"], sl.predict(linear(), X, device="cpu"), rtol=0, atol=1e-6)
    assert sorted(one.name for one in (tmp_path / "new" / "out").iterdir()) == [
        ".locks",
        "manifest.json",
        *(f"shard-{k:06d}.npz" for k in range(4)),
    ]
    found.verify()


def test_the_manifest_says_what_was_run(trainer, tmp_path):
    found = predict(trainer, tmp_path, func=torch.sigmoid).manifest
    assert (found.rows, found.shard_rows) == (11, 3)
    assert found.method["name"] == "predict"
    assert "sigmoid" in found.method["func"]
    assert found.method["precision"] == "32-true"
    assert found.model["class"] == "torch.nn.modules.container.Sequential"
    assert found.versions["torch"] == torch.__version__


@pytest.mark.parametrize("batch", [0, 1, 3, 6])
@pytest.mark.parametrize("error", [RuntimeError("stop here"), SystemExit(3), OSError(28, "No space left on device")])
def test_an_interrupted_run_continues(trainer, tmp_path, batch, error):
    whole = predict(trainer, tmp_path / "whole")
    with pytest.raises(type(error)):
        predict(trainer, tmp_path / "out", more=[Interrupt(batch, error)])
    left = sl.open_results(tmp_path / "out", incomplete=True)
    assert len(left.missing()) == 4 - batch // 2
    assert not list((tmp_path / "out").glob("*.partial"))
    begun = {k: shard_path(tmp_path / "out", k).stat().st_mtime_ns for k in range(4) if k not in left.missing()}
    # Without `shard_rows`, the size of shards is that of the first start.
    same(predict(trainer, tmp_path / "out", shard_rows=None), whole)
    assert all(shard_path(tmp_path / "out", k).stat().st_mtime_ns == at for k, at in begun.items())


@pytest.mark.filterwarnings("ignore:Total length of `DataLoader` across ranks is zero")
def test_a_complete_run_is_not_repeated(trainer, tmp_path):
    predict(trainer, tmp_path)
    before = {one.name: one.stat().st_mtime_ns for one in tmp_path.glob("*.*")}
    predict(trainer, tmp_path)
    assert {one.name: one.stat().st_mtime_ns for one in tmp_path.glob("*.*")} == before


@pytest.mark.filterwarnings("ignore:Total length of `DataLoader` across ranks is zero")
def test_the_same_data_serves_several_runs(trainer, tmp_path):
    data, module = ShardedDataModule(X, batch_size=2), PredictModule(linear())
    with pytest.raises(RuntimeError, match="stop here"):
        trainer(callbacks=[ShardWriter(tmp_path, 4), Interrupt(3)]).predict(module, datamodule=data)
    for _ in range(2):
        trainer(callbacks=[ShardWriter(tmp_path)]).predict(module, datamodule=data, return_predictions=False)
        assert len(torch.cat(trainer().predict(module, datamodule=data))) == 11


def test_a_shard_that_cannot_be_synced_is_removed(trainer, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqlight.lit.shard_writer.sync_to_disk", full)
    with pytest.raises(OSError, match="No space left"):
        predict(trainer, tmp_path)
    assert not list(tmp_path.glob("*.npz"))
    monkeypatch.undo()
    assert len(predict(trainer, tmp_path)) == 11


@pytest.mark.reliability(
    "results folders",
    "a disk that is full while a shard is written",
    "no half a file, and a sentence: make room, and the same run goes on",
)
def test_a_full_disk_while_writing(trainer, tmp_path, monkeypatch):
    write = np.lib.format.write_array
    left = [2]

    def full(*args, **settings):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(*args, **settings)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    message = r"shard-000002\.npz could not be written to .*out \(No space left on device\): make room, and start"
    with pytest.raises(sl.ResultsError, match=message):
        predict(trainer, tmp_path / "out")
    monkeypatch.undo()
    assert sorted(one.name for one in (tmp_path / "out").glob("*.*")) == [
        ".locks", "manifest.json", "shard-000000.npz", "shard-000001.npz",
    ]  # fmt: skip
    same(predict(trainer, tmp_path / "out"), predict(trainer, tmp_path / "whole"))


@pytest.mark.reliability("results folders", "a file system that has no locks", "a run, an interruption, and it goes on")
def test_a_file_system_without_locks(trainer, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    with pytest.raises(RuntimeError, match="stop here"):
        predict(trainer, tmp_path, more=[Interrupt(3)])
    lock = claim_folder(tmp_path)
    with pytest.raises(sl.ResultsError, match="in use by this process"):
        predict(trainer, tmp_path)
    lock.release()
    assert len(predict(trainer, tmp_path)["predictions"].numpy()) == 11
    assert not list((tmp_path / ".locks").glob("*.lease"))


@pytest.mark.reliability(
    "results folders",
    "a shard exchanged, cut short, of another run or with a flipped bit, and the same run started again",
    "the shard is made again, and the rows are right",
)
def test_damaged_shards_are_computed_again(trainer, tmp_path):
    whole, out = predict(trainer, tmp_path / "whole"), tmp_path / "out"
    predict(trainer, tmp_path / "other", model=linear(1))
    predict(trainer, out)
    shards = [shard_path(out, k) for k in range(4)]
    flipped = bytearray(shards[0].read_bytes())
    flipped[flipped.index(whole["predictions"][1].tobytes())] ^= 4
    shards[0].write_bytes(flipped)
    shards[1].write_bytes(shard_path(tmp_path / "other", 1).read_bytes())
    shards[2].write_bytes(shards[3].read_bytes())
    shards[3].write_bytes(shards[3].read_bytes()[:-1])
    with pytest.warns(sl.SeqlightWarning, match="made again|makes what is missing"):
        same(predict(trainer, out), whole)


def test_a_folder_of_another_run_is_refused(trainer, tmp_path):
    predict(trainer, tmp_path)
    for other, message in (
        ({"model": linear(1)}, "model weights"),
        ({"model": nn.Sequential(*linear(), nn.ReLU())}, "model structure"),
        ({"data": 1 - X}, "data"),
        ({"data": X[:10]}, "rows"),
        ({"func": torch.sigmoid}, "method func"),
        ({"precision": "64-true"}, "method precision"),
        ({"shard_rows": 4}, "shard_rows"),
    ):
        with pytest.raises(sl.ResultsError, match=rf"holds another run: it differs in (.*; )?{message} \("):
            predict(trainer, tmp_path, **other)
    assert len(predict(trainer, tmp_path / "other", model=linear(1))) == 11


def test_two_runs_at_once_are_refused(trainer, tmp_path):
    lock = claim_folder(tmp_path)
    with pytest.raises(sl.ResultsError, match="in use by this process"):
        predict(trainer, tmp_path)
    lock.release()
    with pytest.raises(RuntimeError, match="stop here"):
        predict(trainer, tmp_path, more=[Interrupt(2)])
    predict(trainer, tmp_path)


def test_rows_that_the_trainer_leaves_out_are_an_error(trainer, tmp_path):
    with pytest.raises(sl.ResultsError, match=r"8 rows .* are missing in .*: does the Trainer limit batches"):
        predict(trainer, tmp_path, limit_predict_batches=2)
    assert len(predict(trainer, tmp_path)["predictions"].numpy()) == 11


def test_data_without_row_numbers_is_refused(trainer, tmp_path):
    loader = DataLoader(TensorDataset(X), batch_size=2)
    with pytest.raises(sl.InputError, match=r"got None as datamodule.*ShardedDataModule"):
        trainer(callbacks=[ShardWriter(tmp_path)]).predict(PredictModule(linear()), loader)


def test_it_does_nothing_in_a_training(trainer, tmp_path):
    from seqlight.lit import SequenceDataModule, TrainModule

    fit = trainer(
        callbacks=[ShardWriter(tmp_path / "out")], max_epochs=1, limit_val_batches=0, default_root_dir=tmp_path
    )
    fit.fit(TrainModule(linear(), nn.MSELoss()), SequenceDataModule((X.float(), torch.zeros(11, 3))))
    assert not (tmp_path / "out").exists()


def test_outputs_without_a_row_for_each(trainer, tmp_path):
    for n, func in enumerate((lambda y: y.sum(), lambda y: y[:1], lambda y: y.flatten())):
        with pytest.raises(sl.InputError, match=r"turned 2 rows into an output of shape .*: expected one row for each"):
            predict(trainer, tmp_path / str(n), func=func)
    widths = iter([3, 2])
    with pytest.raises(sl.InputError, match=r"of a batch of 2 rows has shape \(2, 2\) float32: expected \(2, 3\)"):
        predict(trainer, tmp_path / "width", func=lambda y: y[:, : next(widths)], shard_rows=5)


def test_a_line_at_the_end(trainer, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "seqlight"):
        predict(trainer, tmp_path)
    (line,) = [one.getMessage() for one in caplog.records if one.name == "seqlight"]
    assert line.startswith("process 0 of 1 on cpu: 11 rows in ")
    assert line.endswith(" rows/s")


def test_names():
    tree = {"a": torch.zeros(1), "b": (torch.zeros(1), [torch.zeros(1)]), "c": {"d": None}}
    assert list(named_arrays(tree)) == ["a", "b.0", "b.1.0"]
    assert named_arrays(torch.ones(2, dtype=torch.bfloat16))["predictions"].dtype == np.float32
    assert named_arrays(torch.ones(2, dtype=torch.float16))["predictions"].dtype == np.float16
    with pytest.raises(sl.InputError, match="holds a str: expected tensors"):
        named_arrays({"a": "text"})


def test_the_other_lightning_gives_a_clear_error(tmp_path):
    pl = pytest.importorskip("pytorch_lightning")
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with pytest.raises(TypeError, match="PredictModule"):
        pl.Trainer(**quiet).predict(PredictModule(linear()), datamodule=ShardedDataModule(X))

    class Theirs(pl.LightningModule):
        def predict_step(self, batch, batch_idx):
            return batch

    with pytest.raises(sl.InputError, match=r"expected lightning\.pytorch\.Trainer; import it from there"):
        pl.Trainer(callbacks=[ShardWriter(tmp_path)], **quiet).predict(Theirs(), DataLoader(TensorDataset(X)))


def tuned(n):
    class Tuned(PredictModule):
        def predict_step(self, batch, batch_idx=0):
            return super().predict_step(batch) * n

    torch.manual_seed(0)
    return Tuned(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))


class Own(L.LightningModule):
    def __init__(self, n):
        super().__init__()
        torch.manual_seed(0)
        self.model, self.n = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), n

    def predict_step(self, batch, batch_idx=0):
        return self.model(batch.entries[0].float()) * self.n


@pytest.mark.reliability(
    "runs begun again", "a run with a module of the user's own around the model, which was edited", "refused"
)
@pytest.mark.filterwarnings("ignore:Total length of `DataLoader` across ranks is zero")
@pytest.mark.parametrize(("module", "what"), [(tuned, "model code .*Tuned"), (Own, "model attributes n")])
def test_an_edited_module_of_the_user_is_refused(trainer, tmp_path, module, what):
    def run(n):
        data = ShardedDataModule(torch.zeros(4, 3, 4))
        trainer(callbacks=[ShardWriter(tmp_path)]).predict(module(n), datamodule=data, return_predictions=False)

    run(2)
    run(2)
    with pytest.raises(sl.ResultsError, match=f"it differs in {what}"):
        run(3)
