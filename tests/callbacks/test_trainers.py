from __future__ import annotations

import lightning.pytorch as L
import pytest
import torch

import seqlight as sl
from seqlight_callbacks import AttributionCallback
from seqlight_callbacks.trainers import epochs_trained, fitting, log_numbers, require_lightning


def test_epochs_trained(toy):
    seen = []

    class Count(L.Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            if not trainer.sanity_checking:
                seen.append((epochs_trained(trainer), fitting(trainer)))

    fitted = toy.fit([Count()])
    fitted.trainer.validate(fitted.module, toy.data(), verbose=False)
    assert seen == [(1, True), (2, True), (2, False)]


def test_the_other_lightning_is_refused_by_name(toy):
    Other = type("Trainer", (), {"__module__": "pytorch_lightning.trainer"})
    with pytest.raises(sl.InputError, match=r"a pytorch_lightning\.Trainer: expected lightning\.pytorch\.Trainer"):
        require_lightning(Other())
    with pytest.raises(sl.InputError, match="import it from there"):
        AttributionCallback(toy.sequences(2), n_shuffles=1).setup(Other(), None, "fit")


def test_numbers_are_logged_to_the_last_bit(toy):
    value = float(torch.tensor(0.1) / 3)

    class Log(L.Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            log_numbers(pl_module, "exact", {"value": value, "nan": float("nan")})

    metrics = toy.fit([Log()], max_epochs=1).trainer.callback_metrics
    assert float(metrics["exact/value"]) == value
    assert metrics["exact/nan"].isnan()
