"""The callback that makes attribution records, and the callbacks that listen to them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeAlias

import lightning.pytorch as L
from torch import Tensor, nn

from seqlight.errors import InputError, kind_of
from seqlight.lit.collectives import run_on_first_rank
from seqlight_callbacks.failures import OnError, prefix_errors, run_or_warn
from seqlight_callbacks.named_callback import NamedCallback, find_callback
from seqlight_callbacks.records import AttributionRecord, save_ledger, save_record
from seqlight_callbacks.trainer_state import all_callbacks, epochs_trained, log_scalars, steps_trained
from seqlight_callbacks.training_folder import TrainingFolder

# Logs numbers by name, behind a prefix; does nothing for a record that is not to be logged.
Log: TypeAlias = Callable[[str, Mapping[str, float]], None]


class Recorder(NamedCallback):
    """A callback that makes records, logs their numbers, writes them, and hands them to its listeners.

    Attributes
    ----------
    sequences : torch.Tensor, shape (sequences, letters, positions)
        The sequences of the records.
    sequence_names : list of str
        A name for each sequence.
    record : AttributionRecord or None
        The last record.
    window : tuple of int or None
        Where attribution is expected.
    out : pathlib.Path or None
        Where the records are written.
    on_error : "warn" or "raise"
        What happens on an error in the middle of a training.
    """

    sequences: Tensor
    sequence_names: list[str]
    record: AttributionRecord | None
    window: tuple[int, int] | None
    out: Path | None
    on_error: OnError
    folder: TrainingFolder | None

    def select_model(self, pl_module: L.LightningModule) -> nn.Module:
        """Return the model that is explained, which takes the sequences and returns one output."""
        raise NotImplementedError

    def compute_record(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int) -> AttributionRecord:
        """Return a record of the model as it is now, computed by all processes together."""
        raise NotImplementedError

    def scalars(self, record: AttributionRecord) -> dict[str, float]:
        """Return the numbers to log for a new record, while ``self.record`` is still the one before."""
        raise NotImplementedError

    def sequence_label(self, i: int) -> str:
        """Return what to call a sequence in a figure or a table."""
        name = self.sequence_names[i]
        return f"sequence {i}" if name == str(i) else name

    def listeners(self, trainer: L.Trainer) -> list[RecordListener]:
        """Return the callbacks of a Trainer that listen to this one, in the Trainer's order."""
        callbacks = all_callbacks(trainer)
        return [one for one in callbacks if isinstance(one, RecordListener) and one.listens_to(self)]

    def record_epoch(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make a record, log its numbers, keep it, and hand it to the listeners; what fails is logged as NaN."""
        epoch, step = epochs_trained(trainer), steps_trained(trainer)
        logged: set[str] = set()

        def log(name: str, scalars: Mapping[str, float]) -> None:
            log_scalars(pl_module, name, scalars)
            logged.add(name)

        def record() -> None:
            new = self.compute_record(trainer, pl_module, epoch)
            log(self.name, self.scalars(new))
            lost = f"{self.label} did not write the record of {new.when}"
            run_or_warn(trainer, self.on_error, lost, lambda: self.keep(trainer, new))
            self.notify(trainer, new, log, self.on_error)

        run_or_warn(trainer, self.on_error, f"{self.label} has no record of epoch {epoch}, step {step}", record)
        # A number that was not computed must neither keep its last value, by which a checkpoint could be chosen, nor
        # be missing where a callback monitors it.
        for callback in (self, *self.listeners(trainer)):
            if callback.name not in logged:
                log(callback.name, dict.fromkeys(callback.scalar_names(), float("nan")))

    def keep(self, trainer: L.Trainer, record: AttributionRecord) -> None:
        """Keep a record as the last one, and have the first process write it."""
        self.record = record
        folder = self.folder
        if folder is not None:
            # If the first process cannot write, no other is left waiting.
            run_on_first_rank(trainer, lambda: _write(record, folder.path_for(record.name)))

    def notify(self, trainer: L.Trainer, record: AttributionRecord, log: Log, on_error: OnError) -> None:
        """Hand a record to the listeners in the Trainer's order, first to those that others depend on.

        Parameters
        ----------
        trainer : Trainer
            Its callbacks may be listeners.
        record : AttributionRecord
            What they get.
        log : callable
            Logs numbers behind a prefix.
        on_error : "warn" or "raise"
            What happens on an error in one of them.
        """
        for listener in sorted(self.listeners(trainer), key=lambda one: one.runs_last):
            lost = f"{listener.label} did nothing with the record of {record.when}"
            run_or_warn(trainer, on_error, lost, functools.partial(listener.on_record, trainer, record, log))


def _write(record: AttributionRecord, path: Path) -> None:
    """Write a record, and before it its ledger, if it has one; else one of an earlier training is of no record now."""
    ledger = path.with_name(f"{record.name}-ledger.csv")
    if record.ledger is None:
        ledger.unlink(missing_ok=True)
    else:
        save_ledger(record, ledger)
    save_record(record, path)


class RecordListener(NamedCallback):
    """A callback that is called with each record when it is made, wherever it stands in the Trainer's list.

    Parameters
    ----------
    attribution : Recorder, str or None
        The recorder to listen to, itself or its name; None for the only one that the Trainer has.
    name : str
        A name of its own among callbacks of its class.
    """

    # Whether it uses what other listeners made of the same record.
    runs_last: ClassVar[bool] = False

    def __init__(self, attribution: Recorder | str | None, name: str) -> None:
        super().__init__()
        if not (attribution is None or isinstance(attribution, Recorder | str)):
            raise InputError(
                f"{type(self).__name__} {name!r}: attribution is {kind_of(attribution)}: expected an "
                "AttributionCallback, its name, or None for the only one."
            )
        self.name = name
        self._requested = attribution
        self._recorder = attribution if isinstance(attribution, Recorder) else None

    @property
    def attribution(self) -> Recorder:
        """The recorder that this one listens to."""
        if self._recorder is None:
            raise InputError(f"{self.label} has no AttributionCallback yet: it looks for one when a Trainer starts.")
        return self._recorder

    @property
    def attribution_label(self) -> str:
        """What to call the recorder, even before it is known."""
        if self._recorder is not None:
            return self._recorder.label
        return "the only AttributionCallback" if self._requested is None else f"AttributionCallback {self._requested!r}"

    def listens_to(self, recorder: Recorder) -> bool:
        """Return whether this is its recorder."""
        return self._recorder is recorder

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the recorder."""
        super().setup(trainer, pl_module, stage)
        self._recorder = self.find_recorder(trainer)
        self.check_arguments()

    def find_recorder(self, trainer: L.Trainer) -> Recorder:
        """Return the recorder that was asked for, among the callbacks of a Trainer."""
        recorder = find_callback(trainer, Recorder, "an AttributionCallback", self._requested, self)
        if recorder is None:
            raise InputError(f"{self.label} found no AttributionCallback in the Trainer's callbacks: list one.")
        return recorder

    def check_arguments(self) -> None:
        """Raise InputError, which names this callback, if its arguments do not fit the recorder, if that is known."""
        if self._recorder is not None:
            with prefix_errors(lambda: self.label):
                self.check_against(self._recorder)

    def check_against(self, recorder: Recorder) -> None:
        """Raise InputError if the arguments do not fit a recorder."""

    def on_record(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Do something with a new record; called on every process."""
        raise NotImplementedError
