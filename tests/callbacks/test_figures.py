from __future__ import annotations

import pytest
from lightning.pytorch.loggers import CSVLogger, Logger

import seqlight as sl
from seqlight_callbacks.figures import log_figure


class Fake(Logger):
    """A logger of any kind, by the methods that it and its experiment have."""

    def __init__(self, experiment=None, **own):
        super().__init__()
        self._experiment = experiment
        vars(self).update(own)

    name, version = "fake", 0

    @property
    def experiment(self):
        return self._experiment

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, *args, **kwargs):
        pass


class Experiment:
    def __init__(self, **methods):
        vars(self).update(methods)


def test_every_kind_of_logger_gets_the_figure(toy):
    calls = []

    def note(name):
        return lambda *args, **named: calls.append((name, args, named))

    loggers = [
        Fake(Experiment(add_figure=note("tensorboard"))),
        Fake(Experiment(), log_image=note("wandb")),
        Fake(Experiment(log_figure=note("mlflow")), run_id="7"),
        Fake(Experiment(log_figure=note("comet"))),
        Fake(Experiment()),
    ]
    trainer = toy.trainer(logger=loggers)
    figure = toy.logo_figure()
    log_figure(trainer, "logos", figure, "epoch-003")
    assert calls == [
        ("tensorboard", ("logos", figure), {"global_step": 0, "close": False}),
        ("wandb", ("logos", [figure], 0), {}),
        ("mlflow", ("7", figure, "figures/logos/00000000.png"), {}),
        ("comet", (), {"figure_name": "logos", "figure": figure, "step": 0}),
    ]


def test_files_where_no_logger_takes_figures(toy, tmp_path):
    toy.fit(toy.logo(), max_epochs=1)
    assert (tmp_path / "figures" / "logos-epoch-001-step-00000006.png").stat().st_size > 1000
    toy.fit(toy.logo(name="val/logos"), max_epochs=1, logger=CSVLogger(tmp_path, name="csv", version=""))
    assert (tmp_path / "csv" / "figures" / "val" / "logos-epoch-001-step-00000006.png").exists()


def test_a_logger_with_a_folder_gets_a_file_beside_one_that_takes_figures(toy, tmp_path):
    calls = []
    board = Fake(Experiment(add_figure=lambda *args, **named: calls.append(args)))
    trainer = toy.trainer(logger=[board, CSVLogger(tmp_path, name="csv", version="")])
    log_figure(trainer, "logos", toy.logo_figure(), "epoch-002-step-00000012")
    assert len(calls) == 1
    assert [path.name for path in tmp_path.rglob("*.png")] == ["logos-epoch-002-step-00000012.png"]


def test_a_logger_that_raises_is_a_warning(toy, tmp_path):
    def fail(*args, **named):
        raise ConnectionError("no network")

    trainer = toy.trainer(logger=[Fake(Experiment(add_figure=fail))])
    with pytest.warns(sl.SeqlightWarning, match="Fake did not take the figure 'logos': no network"):
        log_figure(trainer, "logos", toy.logo_figure(), "epoch-001")
    with pytest.warns(sl.SeqlightWarning, match="no network"):
        fitted = toy.fit(toy.logo(), max_epochs=1, logger=[Fake(Experiment(add_figure=fail))])
    assert fitted.trainer.current_epoch == 1


def test_a_folder_that_cannot_be_written_is_a_warning(toy, tmp_path):
    (tmp_path / "figures").write_text("in the way")
    with pytest.warns(sl.SeqlightWarning, match="the figure 'logos' is missing"):
        toy.fit(toy.logo(), max_epochs=1)
