"""An HTML report on what a model learned to look at, written when its training ends, however it ends."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_info

from seqlight.errors import InputError, SeqlightWarning
from seqlight.files.folder import require_writable
from seqlight.files.paths import as_path
from seqlight.report.blocks import Section
from seqlight.report.page import write_page
from seqlight.report.ruler import Ruler
from seqlight_callbacks import report_sections
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.failures import prefix_errors
from seqlight_callbacks.history import History
from seqlight_callbacks.record_viewer import RecordViewer, require_examples
from seqlight_callbacks.recorder import Log, Recorder
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.report_data import ReportData
from seqlight_callbacks.seqlets import SeqletCallback
from seqlight_callbacks.trainer_state import epochs_trained, is_dry_run, is_fitting, output_folder, steps_trained


class AttributionReport(RecordViewer):
    """Write a report when a training ends, also when it fails or is interrupted.

    The report is a single self-contained HTML file. It shows the curves of the logged numbers, how the attribution
    changed from record to record, with films of a few sequences, what the model looks at in the end, its seqlets, and
    all numbers. The first process writes it, and says where. If it cannot be written, a warning says so.

    Parameters
    ----------
    attribution : AttributionCallback or str, optional
        Whose records to report, itself or its name; None for the only one that the Trainer has.
    seqlets : SeqletCallback or str, optional
        Whose seqlets to report; None for the only one of the same AttributionCallback, if there is one.
    path : str or pathlib.Path, optional
        The file; by default ``report.html``, or another `name`, in the folder of the logger or of the Trainer.
    title, lead : str
        What the report is about, in a line and in a paragraph.
    examples : sequence of int, optional
        Which sequences to show; None for those with the highest output in the end.
    motif : str
        What to call what is expected: `known` of the SeqletCallback, or `window` of the AttributionCallback.
    zero : int
        The position to number 0.
    origin : str
        What is at that position, such as "the start codon".
    metrics : sequence of str, optional
        Which logged numbers to draw; None for all except those of the callbacks, as far as there is room.
    name : str
        A name of its own among callbacks of this class.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if it is not clear which AttributionCallback to use,
        when the Trainer starts.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, AttributionReport, SeqletCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callbacks = [attribution, SeqletCallback(), AttributionReport(path="report.html")]
    """

    def __init__(
        self,
        attribution: AttributionCallback | str | None = None,
        seqlets: SeqletCallback | str | None = None,
        *,
        path: str | Path | None = None,
        title: str = "What does the model look at?",
        lead: str = "",
        examples: Sequence[int] | None = None,
        motif: str = "known intervals",
        zero: int = 0,
        origin: str = "",
        metrics: Sequence[str] | None = None,
        name: str = "report",
    ) -> None:
        super().__init__(attribution, seqlets, name)
        with prefix_errors(lambda: self.label):
            self.path = None if path is None else as_path(path)
        self.title, self.lead, self.motif = title, lead, motif
        self.examples = () if examples is None else tuple(examples)
        self.ruler = Ruler(zero, origin)
        self.metrics = None if metrics is None else list(metrics)
        self.history: History | None = None
        self._last_metrics: dict[str, Any] = {}
        self._resumed_state: dict[str, Any] = {}
        self.check_arguments()

    def state_dict(self) -> dict[str, Any]:
        """Return the logged numbers, small enough for every checkpoint."""
        return {} if self.history is None else self.history.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the numbers until the training that is resumed starts."""
        self._resumed_state = state_dict

    def describe(self) -> str:
        """Return what it does, in a phrase."""
        path = f"{self.name}.html" if self.path is None else str(self.path)
        return f"a page on {self.attribution_label}, {path!r}, when the training ends"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the callbacks to report on, and begin a history."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._warn_if_unwritable(trainer)
            # A Trainer can also go on with the same callbacks, without a checkpoint.
            self._resumed_state = {} if self.history is None else self.history.state_dict()
            self.history, self._last_metrics = History(self.attribution.sequences), {}
            self._model_name = type(pl_module).__name__

    def check_against(self, recorder: Recorder) -> None:
        """Refuse sequences that do not exist."""
        if self.examples:
            require_examples(self.examples, recorder)

    def on_record(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Add a record to the history."""
        if is_fitting(trainer) and self.history is not None and trainer.is_global_zero:
            self.history.add_record(record)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the history of a training that is resumed."""
        step = steps_trained(trainer)
        if self.history is not None and step:
            self.history.load_state_dict(self._resumed_state, trainer.current_epoch, step)
            if self.attribution.out is not None and trainer.is_global_zero:
                self.history.read_folder(self.attribution.out, trainer.current_epoch, step)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add what the epoch before logged: the numbers of its training are complete only now."""
        self._end_epoch(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add what a validation logged, before the next one replaces it."""
        if is_fitting(trainer) and not is_dry_run(trainer):
            self._add_scalars(trainer, epochs_trained(trainer))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add what the last epoch logged."""
        self._end_epoch(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the report."""
        self._write_or_warn(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Write a report on what there was before the error."""
        if is_fitting(trainer):
            error = f"{type(exception).__name__}: {exception}".strip().removesuffix(":")
            self._write_or_warn(trainer, f" The training ended early, with {error}.")

    def report_data(self) -> ReportData:
        """Return what the sections are made from."""
        assert self.history is not None
        return ReportData(self.attribution, self.seqlets, self.history, self.examples, self.motif, self.ruler)

    def sections(self, ending: str = "") -> list[Section]:
        """Return the sections of the report.

        Parameters
        ----------
        ending : str
            A sentence on how the training ended, if early.
        """
        return report_sections.make_sections(self.report_data(), self._model_name, self.metrics, ending)

    def write(self, path: str | Path, sections: Sequence[Section] | None = None) -> Path:
        """Write the report, or other sections, as one page, and return where it is."""
        return write_page(path, self.title, self.lead, self.sections() if sections is None else sections)

    def _warn_if_unwritable(self, trainer: L.Trainer) -> None:
        """Warn before the first step, not only after the last, if no report can be written to the path."""
        if self.path is None or not trainer.is_global_zero:
            return
        try:
            require_writable(self.path.parent, "the folder of path")
            if self.path.is_dir():
                raise InputError(
                    f"path is {str(self.path)!r}, which is a folder: expected that of a file, as 'a.html'."
                )
        except InputError as error:
            warnings.warn(f"{self.label} cannot be written: {error}", SeqlightWarning, stacklevel=2)

    def _end_epoch(self, trainer: L.Trainer) -> None:
        if self.history is not None and trainer.current_epoch:
            self.history.end_epoch(trainer.current_epoch, steps_trained(trainer))
            self._add_scalars(trainer, trainer.current_epoch)

    def _add_scalars(self, trainer: L.Trainer, epoch: int) -> None:
        # On every process, since Lightning reduces what is not yet reduced over all of them.
        metrics: Mapping[str, Any] = dict(trainer.callback_metrics)
        if self.history is not None:
            # A value that is the same object as before was not logged again.
            new = {name: value for name, value in metrics.items() if self._last_metrics.get(name) is not value}
            if new:
                self.history.add_scalars(epoch, steps_trained(trainer), new)
            self._last_metrics = dict(metrics)

    def _write_or_warn(self, trainer: L.Trainer, ending: str = "") -> None:
        if not trainer.is_global_zero or self.history is None or not self.history.steps:
            return
        path = self.path
        try:
            path = output_folder(trainer) / f"{self.name}.html" if path is None else path
            self.write(path, self.sections(ending))
            rank_zero_info(f"{self.label} is in {path}")
        except Exception as error:
            # Only the first process does this, and a finished training is worth more than its report.
            which = str(path or self.name)
            warnings.warn(f"the report {which!r} was not written: {error}", SeqlightWarning, stacklevel=2)
