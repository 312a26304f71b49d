"""A full disk, a logger that raises, a GPU without memory: none of them ends a training that has begun."""

from __future__ import annotations

import errno

import lightning.pytorch as L
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

import seqlight as sl
from seqlight.errors import UnsupportedOperation
from seqlight_callbacks import AttributionReport, LogoCallback, SeqletCallback
from seqlight_callbacks.failures import prefix_errors
from seqlight_callbacks.records import load_record


class Breaking(L.Callback):
    """Replaces a function while a training is between two steps."""

    def __init__(self, monkeypatch, name, by, start=6, end=12):
        self.patch, self.name, self.by, self.range = monkeypatch, name, by, range(start, end)

    def on_validation_start(self, trainer, pl_module):
        self.patch.undo()
        if trainer.global_step in self.range:
            self.patch.setattr(self.name, self.by)


def messages(warned):
    return [str(one.message) for one in warned if one.category is sl.SeqlightWarning]


def full(*args, **named):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.reliability(
    "errors in the middle of a training",
    "the disk is full when a record is written",
    "a warning that names the record; its numbers are logged, and the next is written when there is room",
)
def test_a_full_disk_does_not_end_the_training(toy, tmp_path, monkeypatch):
    first, seqlets = toy.attribution(out=tmp_path / "a"), SeqletCallback(threshold=0.5, out=tmp_path / "s")
    breaking = Breaking(monkeypatch, "numpy.savez_compressed", full)
    with pytest.warns(sl.SeqlightWarning) as warned:
        fitted = toy.fit([breaking, first, seqlets], max_epochs=2)
    (message,) = messages(warned)
    assert message == (
        "AttributionCallback 'attribution' did not write the record of epoch 1, step 6, and the training goes on: "
        f"OSError: [Errno 28] No space left on device: {str(tmp_path / 'a' / 'epoch-001-step-00000006.npz')!r}"
    )
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["epoch-002-step-00000012.npz"]
    assert len(list((tmp_path / "s").iterdir())) == 2
    assert fitted.trainer.current_epoch == 2
    assert float(fitted.trainer.callback_metrics["attribution/similarity"]) > 0


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("pandas.DataFrame.to_csv", "SeqletCallback 'seqlets' did nothing with the record of epoch 1, step 6"),
        ("matplotlib.figure.Figure.savefig", "the figure 'logos' is missing"),
    ],
)
def test_tables_and_figures_do_not_end_it_either(toy, tmp_path, monkeypatch, name, lost):
    mine = [toy.attribution(), SeqletCallback(threshold=0.5, out=tmp_path / "s"), LogoCallback(examples=(0,))]
    with pytest.warns(sl.SeqlightWarning) as warned:
        fitted = toy.fit([Breaking(monkeypatch, name, full), *mine], max_epochs=2)
    (message,) = messages(warned)
    assert message.startswith(lost)
    assert {"attribution/delta", "seqlets/count"} <= fitted.trainer.callback_metrics.keys()
    assert len(list((tmp_path / "s").iterdir())) + len(list((tmp_path / "figures").iterdir())) == 3


@pytest.mark.reliability(
    "errors in the middle of a training",
    "the same with on_error='raise', or in trainer.validate alone",
    "the error itself, with a note that names the callback and the record",
)
def test_on_error_raise_ends_the_training(toy, tmp_path, monkeypatch):
    first = toy.attribution(out=tmp_path / "a", on_error="raise")
    with pytest.raises(OSError, match="No space left") as caught:
        toy.fit([Breaking(monkeypatch, "numpy.savez_compressed", full), first])
    lost = "AttributionCallback 'attribution' did not write the record of epoch 1, step 6."
    assert caught.value.__notes__ == [lost]
    assert not list((tmp_path / "a").iterdir())
    with pytest.raises(sl.InputError, match="on_error is 'ignore': expected one of 'warn', 'raise'"):
        toy.attribution(on_error="ignore")


def test_before_the_first_step_and_in_validation_alone_it_is_an_error(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        toy.fit([toy.attribution(out=tmp_path / "a", untrained=True)])
    monkeypatch.undo()
    fitted = toy.fit([toy.attribution(out=tmp_path / "b")], max_epochs=1)
    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="No space left") as caught:
        fitted.trainer.validate(fitted.module, toy.data(), verbose=False)
    assert caught.value.__notes__[0].startswith("AttributionCallback 'attribution' did not write the record")


def no_room(*args, **named):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.reliability(
    "errors in the middle of a training",
    "an attribution fails in one epoch of three",
    "a warning; its numbers are NaN and never those of the epoch before; the next epoch has a record again",
)
def test_missing_numbers_are_nan_and_not_those_before(toy, tmp_path, monkeypatch):
    logged = []

    class Look(L.Callback):
        def on_validation_end(self, trainer, pl_module):
            names = ("attribution/magnitude", "seqlets/count", "valid_loss")
            logged.append([float(trainer.callback_metrics[name]) for name in names])

    out = tmp_path / "out"
    mine = [toy.attribution(out=out), SeqletCallback(threshold=0.5)]
    best = ModelCheckpoint(tmp_path / "best", monitor="attribution/magnitude", mode="max", save_top_k=-1)
    breaking = Breaking(monkeypatch, "seqlight_callbacks.explainer.run_method", no_room, 12, 18)
    with pytest.warns(sl.SeqlightWarning) as warned:
        toy.fit([breaking, *mine, Look(), best], max_epochs=3, num_sanity_val_steps=0, enable_checkpointing=True)
    (message,) = messages(warned)
    assert message.startswith("AttributionCallback 'attribution' has no record of epoch 2, step 12, and ")
    (a, b, c), (nan, empty, loss), (d, e, f) = logged
    assert nan != nan
    assert empty != empty
    assert loss > 0
    assert min(a, c, d, f) > 0
    assert b >= 0
    assert e >= 0
    assert sorted(load_record(path).epoch for path in out.iterdir()) == [1, 3]
    assert float(best.best_model_score) == pytest.approx(max(a, d))


@pytest.mark.reliability(
    "errors in the middle of a training",
    "the first attribution fails, and EarlyStopping monitors a number of it",
    "a warning; every number that a record has is NaN, and the training goes on",
)
@pytest.mark.parametrize("method", ["deep_lift_shap", "input_x_gradient"])
def test_numbers_are_missing_from_the_first_record_on(toy, monkeypatch, method):
    first = toy.attribution(method=method, n_shuffles=2, window=(0, 5))
    known = pd.DataFrame({"example_idx": [0], "start": [3], "end": [9]})
    seqlets = SeqletCallback(threshold=0.5, known=known, motifs={"m": np.full((4, 5), 0.25)})
    stopping = [EarlyStopping(name, check_finite=False) for name in ("attribution/similarity", "seqlets/recall")]
    breaking = Breaking(monkeypatch, "seqlight_callbacks.explainer.run_method", no_room)
    logged = []

    class Look(L.Callback):
        def on_validation_end(self, trainer, pl_module):
            found = {name: float(one) for name, one in trainer.callback_metrics.items()}
            logged.append({name: one for name, one in found.items() if name.startswith(("attribution/", "seqlets/"))})

    with pytest.warns(sl.SeqlightWarning) as warned:
        toy.fit([breaking, first, seqlets, Look(), *stopping], max_epochs=2, num_sanity_val_steps=0)
    (message,) = messages(warned)
    assert message.startswith("AttributionCallback 'attribution' has no record of epoch 1, step 6, and ")
    missing, there = logged
    assert missing.keys() == there.keys() >= {"attribution/magnitude", "attribution/window_share", "seqlets/match/m"}
    assert all(one != one for one in missing.values())
    assert all(one == one for one in there.values())


def test_a_logger_without_a_folder_costs_the_report_only(toy, tmp_path):
    class Gone(CSVLogger):
        gone = False

        @property
        def log_dir(self):
            if self.gone:
                raise ConnectionError("no network")
            return super().log_dir

        def log_metrics(self, *args, **named):
            pass

        save = finalize = log_metrics

    class Unplug(L.Callback):
        def on_train_start(self, trainer, pl_module):
            trainer.logger.gone = True

    with pytest.warns(sl.SeqlightWarning) as warned:
        fitted = toy.fit(
            [Unplug(), toy.attribution(), LogoCallback(examples=(0,)), AttributionReport()],
            max_epochs=1,
            logger=Gone(tmp_path),
        )
    assert messages(warned) == [
        "Gone did not take the figure 'logos': no network",
        "the report 'report' was not written: no network",
    ]
    assert fitted.trainer.current_epoch == 1


def test_errors_of_seqlight_keep_their_class():
    with pytest.raises(UnsupportedOperation, match="a callback: cannot"), prefix_errors(lambda: "a callback"):
        raise UnsupportedOperation("cannot")
    with (
        pytest.raises(sl.InputError, match=r"^a callback: KeyError: 'x'; do it\.$"),
        prefix_errors(lambda: "a callback", "; do it"),
    ):
        raise KeyError("x")
    with pytest.raises(KeyboardInterrupt), prefix_errors(lambda: "a callback"):
        raise KeyboardInterrupt
