"""Logos of a few sequences at each epoch, in every logger."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import lightning.pytorch as L
from matplotlib.figure import Figure

from seqlight.errors import InputError, SeqlightWarning
from seqlight.plot.logo_stack import plot_logos
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.figures import log_figure
from seqlight_callbacks.recorder import Follower, Log, Recorder, beside
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.seqlets import SeqletCallback


class LogoCallback(Follower):
    """Draw the logos of a few sequences, on one scale, whenever they were attributed.

    The first process draws, without pyplot. The figure goes to TensorBoard, Weights & Biases, MLflow and
    Comet loggers, and otherwise into ``figures/`` below the folder of the logger, or of the Trainer. A picture that
    cannot be drawn or a logger that fails is a warning and not the end of the training.

    Parameters
    ----------
    attribution : AttributionCallback or str, optional
        Whom to follow, itself or its name; None for the only one that the Trainer has.
    seqlets : SeqletCallback or str, optional
        Whose seqlets to draw beneath; None for the only one of the same attributions, if there is one.
    examples : sequence of int
        Which of the sequences.
    start, end : int, optional
        Which positions.
    name : str
        What to call the figure, one for each callback of this kind.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if it is not clear whom to follow, when the Trainer
        starts.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, LogoCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callbacks = [attribution, LogoCallback(examples=(0, 7))]
    """

    comes_last = True

    def __init__(
        self,
        attribution: AttributionCallback | str | None = None,
        seqlets: SeqletCallback | str | None = None,
        *,
        examples: Sequence[int] = (0, 1, 2),
        start: int | None = None,
        end: int | None = None,
        name: str = "logos",
    ) -> None:
        super().__init__(attribution, name)
        self._asked_seqlets = seqlets
        self.seqlets = seqlets if isinstance(seqlets, SeqletCallback) else None
        self.examples, self.start, self.end = tuple(examples), start, end
        if self._followed is not None:
            self.require(self._followed)

    def does(self) -> str:
        """Return what it does, in a phrase."""
        return f"logos of the sequences {', '.join(map(str, self.examples))} of {self.whom()}, in every logger"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find whom to follow, and whose seqlets to draw."""
        super().setup(trainer, pl_module, stage)
        self.seqlets = beside(trainer, SeqletCallback, self._asked_seqlets, self)

    def check(self, attribution: Recorder) -> None:
        """Refuse sequences and positions that are not there."""
        require_examples(self.examples, attribution)
        length = attribution.sequences.shape[2]
        start, end = self.start or 0, length if self.end is None else self.end
        if not 0 <= start < end <= length:
            raise InputError(f"start and end are {start} and {end}: expected 0 <= start < end <= {length}.")

    def follow(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Draw and log, on the first process."""
        if not trainer.is_global_zero:
            return
        try:
            log_figure(trainer, self.name, self.draw(), record.name)
        except Exception as error:
            # One process is here alone: were it to stop, the others would wait for it.
            warnings.warn(f"the figure {self.name!r} is missing: {error}", SeqlightWarning, stacklevel=2)

    def draw(self) -> Figure:
        """Return the figure of the last record, one logo a sequence, all of one scale."""
        record = self.attribution.record
        if record is None:
            raise InputError("there are no attributions to draw yet: expected at least one epoch with attributions.")
        figure = plot_logos(
            record.attributions,
            [f"{self.attribution.called(i)}, output {float(record.outputs[i]):.2f}" for i in self.examples],
            example_idx=self.examples,
            start=self.start,
            end=self.end,
            annotations=None if self.seqlets is None else self.seqlets.seqlets,
        )
        figure.suptitle(record.when, fontsize=10)
        return figure


def require_examples(examples: Sequence[int], attribution: Recorder) -> None:
    """Raise InputError unless there are sequences with these numbers, at least one."""
    n = len(attribution.sequences)
    if not examples or not all(0 <= example < n for example in examples):
        raise InputError(
            f"examples is {tuple(examples)} and there are {n} sequences: expected numbers from 0 to {n - 1}."
        )
