"""The parameter-randomisation check at the end of a training."""

from __future__ import annotations

import lightning.pytorch as L
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers.logger import DummyLogger

import seqlight as sl
from fixed_pattern import FixedPattern
from seqlight.lit.training import TrainModule
from seqlight.studies import parameter_randomization
from seqlight.studies.workers.model_state import ModelState
from seqlight_callbacks import RandomizationCallback


class Log(DummyLogger):
    """Keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.numbers = {}

    def log_metrics(self, metrics, step=None):
        self.numbers |= metrics


def test_it_does_what_the_function_does(toy):
    first = toy.attribution(4, on="train")
    mine = RandomizationCallback(steps=3, n_draws=2, out=toy.folder / "tables" / "layers.csv")
    log = Log()
    fitted = toy.fit([mine, first], max_epochs=1, logger=log)
    assert mine.result.table["layer"].tolist() == ["model.3", "model.1", "model.0"]
    pd.testing.assert_frame_equal(pd.read_csv(toy.folder / "tables" / "layers.csv"), mine.result.table)
    assert not mine.result.alike
    last = mine.result.table.iloc[-1]
    assert log.numbers["randomization/rank_correlation"] == last["rank_correlation"]
    assert log.numbers["randomization/least"] == last["least"]
    again = parameter_randomization(
        fitted.module, first.sequences, steps=3, n_draws=2, device="cpu", references=first.references
    )
    assert torch.equal(again.attributions, mine.result.attributions)
    pd.testing.assert_frame_equal(again.table, mine.result.table)


@pytest.mark.reliability(
    "sanity of attributions",
    "a training whose model decides by something fixed",
    "a warning of RandomizationCallback when it ends",
)
def test_attributions_that_stay_alike_are_warned_about(toy):
    mine = RandomizationCallback(steps=1, n_draws=1, name="sanity")
    with pytest.warns(sl.RandomizationWarning, match="RandomizationCallback 'sanity': with all layers re-initialised"):
        toy.fit([toy.attribution(4), mine], net=FixedPattern(), max_epochs=1)
    assert mine.result.alike


@pytest.mark.reliability(
    "errors in the middle of a training",
    "the check of RandomizationCallback fails when the training ends",
    "a warning, and the trained model as it was",
)
def test_an_error_leaves_the_training_as_it_is(toy):
    class Failing(TrainModule):
        def forward(self, X):
            # Only attribution and prediction freeze the parameters. The model's own attributes are restored after each.
            calls.append(not self.model[0].weight.requires_grad)
            if self.trainer.global_step == 6 and sum(calls) > 60:
                raise RuntimeError("out of luck")
            return super().forward(X)

    class State(L.Callback):
        def on_train_end(self, trainer, pl_module):
            states.append(ModelState(pl_module))

    calls, states = [], []
    mine = RandomizationCallback(n_draws=50)
    with pytest.warns(
        sl.SeqlightWarning, match="'randomization' has no result, and the training goes on: .*out of luck"
    ):
        fitted = toy.fit([toy.attribution(4), State(), mine], module=Failing(toy.network()), max_epochs=1)
    assert mine.result is None
    assert states[0].changes(fitted.module) == []


def test_parts_of_a_module_and_dry_runs(toy):
    mine = RandomizationCallback("a", steps=1, n_draws=1)
    others = [
        toy.attribution(4, name="a", module="model", inputs=lambda X: X.flip(2)),
        toy.attribution(4, name="b", module="model", method="input_x_gradient"),
        RandomizationCallback("b", steps=9, n_draws=1, name="second"),
    ]
    toy.fit([mine, *others], max_epochs=1)
    assert mine.result.table["layers"].tolist() == [4]
    assert others[-1].result.table["layer"].tolist() == ["7", "3", "1", "0"]
    dry = RandomizationCallback()
    toy.fit([toy.attribution(4), dry], fast_dev_run=True)
    assert dry.result is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "RandomizationCallback 'randomization': steps is 0"),
        ({"n_draws": 1.5}, "n_draws is 1.5"),
        ({"threshold": 0}, "threshold is 0: expected"),
        ({"attribution": 3}, "attribution is an int: expected an AttributionCallback"),
        ({"out": 3}, "out is an int: expected a path"),
    ],
)
def test_arguments_that_cannot_be_used(settings, message):
    with pytest.raises(sl.InputError, match=message):
        RandomizationCallback(**settings)


def test_it_needs_an_attribution_callback(toy):
    with pytest.raises(sl.InputError, match="found no AttributionCallback"):
        toy.fit([RandomizationCallback()])


def test_averaged_weights_are_checked_if_they_are_there_first(toy):
    first, mine = toy.attribution(4), RandomizationCallback(steps=1, n_draws=1)
    averaging = EMAWeightAveraging(decay=0.5, update_every_n_steps=1)
    toy.fit([averaging, mine, first])
    # A validation sees the averaged weights, too.
    torch.testing.assert_close(mine.result.attributions, first.record.attributions)
