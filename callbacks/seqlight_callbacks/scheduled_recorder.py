"""When records are made: at the end of validations, epochs or tests, as a schedule says."""

from __future__ import annotations

from typing import Literal

import lightning.pytorch as L

from seqlight.lit.lightning_packages import lightning_classes
from seqlight_callbacks.recorder import Recorder
from seqlight_callbacks.schedule import Schedule
from seqlight_callbacks.trainer_state import (
    callbacks_before,
    epochs_trained,
    is_dry_run,
    is_fitting,
    steps_trained,
)

On = Literal["validation", "train", "test"]


class ScheduledRecorder(Recorder):
    """A recorder that makes its records at the end of validations, training epochs or tests.

    Parameters
    ----------
    untrained : bool
        Make one more record before the first step, as epoch 0. It is kept and written, but not logged.

    Attributes
    ----------
    on : "validation", "train" or "test"
        When records are made.
    schedule : Schedule
        At which of them.
    """

    on: On
    schedule: Schedule

    def __init__(self, untrained: bool) -> None:
        super().__init__()
        self.untrained = untrained
        self._after_averaging = False

    def check_model(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Raise an error before the first step if there could be no record of this model."""
        raise NotImplementedError

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find out whether a callback that averages weights comes first."""
        super().setup(trainer, pl_module, stage)
        # WeightAveraging swaps the averaged weights in when a validation starts and out when it ends. Its hooks run
        # before ours if it comes earlier in the list: at the end the averaged weights are then already gone.
        self._after_averaging = any(
            isinstance(other, lightning_classes("callbacks.WeightAveraging"))
            for other in callbacks_before(trainer, self)
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find errors before the first step, and attribute the untrained model if asked to."""
        if self.on == "test":
            return
        self.check_model(trainer, pl_module)
        if is_dry_run(trainer):
            return
        if self.folder is not None and trainer.is_global_zero:
            self.folder.begin(resumed=bool(steps_trained(trainer)))
        self.schedule.begin(self.label, trainer.enable_validation)
        if self.untrained and steps_trained(trainer) == 0:
            record = self.compute_record(trainer, pl_module, 0)
            self.keep(trainer, record)
            self.notify(trainer, record, lambda name, scalars: None, "raise")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Warn if there was no record in the whole training."""
        if not is_dry_run(trainer) and trainer.is_global_zero:
            self.schedule.end(self.label)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute at the start of a validation, if the averaged weights are gone at its end."""
        if self.on == "validation" and self._after_averaging:
            self._record_if_due(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute at the end of a validation."""
        if self.on == "validation" and not self._after_averaging:
            self._record_if_due(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute at the end of a training epoch."""
        if self.on == "train":
            self._record_if_due(trainer, pl_module)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute at the end of a test."""
        if self.on == "test":
            self._record_if_due(trainer, pl_module)

    def _record_if_due(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if is_dry_run(trainer):
            return
        if not is_fitting(trainer) or self.schedule.advance(epochs_trained(trainer), steps_trained(trainer)):
            self.record_epoch(trainer, pl_module)
