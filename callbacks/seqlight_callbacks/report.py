"""One HTML page on what a model learned to look at, written when its training ends, however it ends."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from seqlight.errors import InputError, SeqlightWarning
from seqlight.files.folder import require_writable
from seqlight.files.paths import as_path
from seqlight.report.page import Code, Numbers, Section, Text, write_page
from seqlight.report.ruler import Ruler
from seqlight_callbacks import report_sections
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.failures import prefix_errors
from seqlight_callbacks.history import History
from seqlight_callbacks.logos import require_examples
from seqlight_callbacks.recorder import Follower, Log, Recorder, beside
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.report_sections import Story
from seqlight_callbacks.seqlets import SeqletCallback
from seqlight_callbacks.trainer_state import epochs_trained, fitting, folder, idle, steps_trained

PACKAGES = ("seqlight", "torch", "lightning", "torchmetrics", "numpy", "pandas", "matplotlib")


class AttributionReport(Follower):
    """Write a report when a training ends, and also when it fails or is interrupted.

    A single HTML file that needs nothing beside it: how the logged numbers went, how the attribution moved from
    record to record, with films of a few sequences, what the model looks at in the end, its seqlets, and all numbers.
    The first process writes. A report that cannot be written is a warning and not the end of the training.

    Parameters
    ----------
    attribution : AttributionCallback or str, optional
        Whom to follow, itself or its name; None for the only one that the Trainer has.
    seqlets : SeqletCallback or str, optional
        Whose seqlets to tell of; None for the only one of the same attributions, if there is one.
    path : str or pathlib.Path, optional
        Of the file; by default ``report.html``, or what `name` says, below the folder of the logger or the Trainer.
    title, lead : str
        What it is about, in a line and in a paragraph.
    examples : sequence of int, optional
        Which sequences to show; None for those with the highest output in the end.
    motif : str
        What to call what is hoped for: `known` of the SeqletCallback, or `window` of the AttributionCallback.
    zero : int
        The position to call 0.
    origin : str
        What is there, as in "the start codon".
    metrics : sequence of str, optional
        Which logged numbers to draw; None for all but those of the callbacks, as far as there is room.
    name : str
        One for each callback of this kind.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if it is not clear whom to follow, when the Trainer
        starts.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, AttributionReport, SeqletCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callbacks = [attribution, SeqletCallback(), AttributionReport(path="report.html")]
    """

    comes_last = True

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
        super().__init__(attribution, name)
        self._asked_seqlets = seqlets
        self.seqlets = seqlets if isinstance(seqlets, SeqletCallback) else None
        with prefix_errors(lambda: self.who):
            self.path = None if path is None else as_path(path)
        self.title, self.lead, self.motif = title, lead, motif
        self.examples = () if examples is None else tuple(examples)
        self.ruler = Ruler(zero, origin)
        self.metrics = None if metrics is None else list(metrics)
        self.history: History | None = None
        self._seen: dict[str, Any] = {}
        self._resumed: dict[str, Any] = {}
        if self._followed is not None:
            self.require(self._followed)

    def state_dict(self) -> dict[str, Any]:
        """Return the logged numbers: a few for each step, which every checkpoint can hold."""
        return {} if self.history is None else self.history.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the training goes on."""
        self._resumed = state_dict

    def does(self) -> str:
        """Return what it does, in a phrase."""
        where = f"{self.name}.html" if self.path is None else str(self.path)
        return f"a page on {self.whom()}, {where!r}, when the training ends"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find whom to follow, and whose seqlets to tell of."""
        super().setup(trainer, pl_module, stage)
        self.seqlets = beside(trainer, SeqletCallback, self._asked_seqlets, self)
        if stage == "fit":
            self._foresee(trainer)
            # Of a Trainer that goes on with the same callbacks, and of no checkpoint.
            self._resumed = {} if self.history is None else self.history.state()
            self.history, self._seen = History(self.attribution.sequences), {}
            self._how = type(pl_module).__name__

    def check(self, attribution: Recorder) -> None:
        """Refuse sequences that are not there."""
        if self.examples:
            require_examples(self.examples, attribution)

    def follow(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Note a record."""
        if fitting(trainer) and self.history is not None and trainer.is_global_zero:
            self.history.note(record)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Read what an interrupted training had."""
        step = steps_trained(trainer)
        if self.history is not None and step:
            self.history.load(self._resumed, trainer.current_epoch, step)
            if self.attribution.out is not None and trainer.is_global_zero:
                self.history.read(self.attribution.out, trainer.current_epoch, step)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note what the epoch before logged: its training's numbers are there now only."""
        self._note_epoch(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note what a validation logged, which the next will log over."""
        if fitting(trainer) and not idle(trainer):
            self._note_numbers(trainer, epochs_trained(trainer))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note what the last epoch logged."""
        self._note_epoch(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the report."""
        self._write(trainer, "")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Write the report of what there was."""
        if fitting(trainer):
            said = f"{type(exception).__name__}: {exception}".strip().removesuffix(":")
            self._write(trainer, f" The training ended early, with {said}.")

    def story(self) -> Story:
        """Return what there is to tell."""
        assert self.history is not None
        return Story(self.attribution, self.seqlets, self.history, self.examples, self.motif, self.ruler)

    def sections(self, ended: str = "") -> list[Section]:
        """Return the chapters of the report.

        Parameters
        ----------
        ended : str
            What to say of how the training ended.
        """
        story = self.story()
        names = story.history.names()
        mine = tuple(f"{one.name}/" for one in (story.attribution, story.seqlets) if one is not None)
        drawn = [name for name in names if not name.startswith(mine)] if self.metrics is None else self.metrics
        found = [self._summary(story, ended)]
        if any(story.history.line(name) for name in drawn):
            found.append(report_sections.learned(story, drawn))
        found += [report_sections.movement(story), report_sections.looks(story)]
        if story.seqlets is not None and story.seqlets.seqlets is not None:
            found.append(report_sections.seqlets(story))
        if names:
            found.append(report_sections.all_numbers(story, names))
        return [*found, Section("Made with", [Code(versions())])]

    def write(self, path: str | Path, sections: Sequence[Section] | None = None) -> Path:
        """Write the report, or other sections, as one page, and return where it is."""
        return write_page(path, self.title, self.lead, self.sections() if sections is None else sections)

    def _summary(self, story: Story, ended: str) -> Section:
        attribution = story.attribution
        n, length = len(attribution.sequences), attribution.sequences.shape[2]
        how = f", by {attribution.method}" if isinstance(attribution, AttributionCallback) else ""
        text = (
            f"The output of {self._how} was attributed to the single characters of {n} sequences of {length} positions"
            f"{how}, each time {_times(story.history)}.{ended}"
        )
        if broken := story.history.broken():
            first = story.history.label(broken[0]) if broken[0] else "after epoch 0"
            times = {1: "", 2: ", and once more"}.get(len(broken), f", and {len(broken) - 1} more times")
            text += f" {first.capitalize()}{times}, attributions were not finite; nothing is drawn for these."
        numbers = summary(story, story.history.numbers.get(story.history.steps[-1], {}))
        return Section("In short", [Numbers(numbers), Text(text)] if numbers else [Text(text)])

    def _foresee(self, trainer: L.Trainer) -> None:
        """Warn before the first step, and not only after the last, of a path to which no report can be written."""
        if self.path is None or not trainer.is_global_zero:
            return
        try:
            require_writable(self.path.parent, "the folder of path")
            if self.path.is_dir():
                raise InputError(f"path is {str(self.path)!r}, which is a folder: expected one of a file, as 'a.html'.")
        except InputError as error:
            warnings.warn(f"{self.who} cannot be written: {error}", SeqlightWarning, stacklevel=2)

    def _note_epoch(self, trainer: L.Trainer) -> None:
        if self.history is not None and trainer.current_epoch:
            self.history.end(trainer.current_epoch, steps_trained(trainer))
            self._note_numbers(trainer, trainer.current_epoch)

    def _note_numbers(self, trainer: L.Trainer, epoch: int) -> None:
        # On every process: what is not yet reduced, all reduce together.
        metrics: Mapping[str, Any] = dict(trainer.callback_metrics)
        if self.history is not None:
            # A number that is the same object as before was logged earlier, and stands there still.
            new = {name: value for name, value in metrics.items() if self._seen.get(name) is not value}
            if new:
                self.history.note_numbers(epoch, steps_trained(trainer), new)
            self._seen = dict(metrics)

    def _write(self, trainer: L.Trainer, ended: str) -> None:
        if not trainer.is_global_zero or self.history is None or not self.history.steps:
            return
        path = self.path
        try:
            path = folder(trainer) / f"{self.name}.html" if path is None else path
            self.write(path, self.sections(ended))
        except Exception as error:
            # One process is here alone, and what it may end was worth more than a report.
            which = str(path or self.name)
            warnings.warn(f"the report {which!r} was not written: {error}", SeqlightWarning, stacklevel=2)


def _times(history: History) -> str:
    trained = [epoch for epoch in history.epochs if epoch]
    if not trained:
        return "at the end of no epoch, but before the training"
    first = ", and before the first" * (0 in history.epochs)
    n, epochs = len(trained), len(set(trained))
    if history.by_epochs:
        return "at the end of " + ("an epoch" if n == 1 else f"{n} epochs") + first
    return (
        ("at a step of " if n == 1 else f"at {n} steps of ")
        + ("an epoch" if epochs == 1 else f"{epochs} epochs")
        + first
    )


def summary(story: Story, numbers: Mapping[str, float]) -> dict[str, str]:
    """Return the few numbers of a step that say most, as text."""
    mine, other = story.attribution.name, None if story.seqlets is None else story.seqlets.name
    wanted = {
        "largest convergence delta": (f"{mine}/delta", "{:.2g}"),
        f"of positive attribution is in the {story.motif}": (f"{mine}/window_share", "{:.0%}"),
        "cosine to the record before": (f"{mine}/similarity", "{:.3f}"),
        f"of the {story.motif} are found by strong seqlets": (f"{other}/recall", "{:.0%}"),
        f"of strong seqlets overlap the {story.motif}": (f"{other}/precision", "{:.0%}"),
    }
    return {label: form.format(numbers[name]) for label, (name, form) in wanted.items() if name in numbers}


def versions() -> str:
    """Return what a result may depend on, a line each."""
    return "\n".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])
