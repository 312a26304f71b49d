"""Logos of a few sequences at each record, in every logger."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import lightning.pytorch as L
from matplotlib.figure import Figure

from seqlight.errors import InputError, SeqlightWarning
from seqlight.plot.logo_stack import plot_logos
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.figures import log_figure
from seqlight_callbacks.record_viewer import RecordViewer, require_examples
from seqlight_callbacks.recorder import Log, Recorder
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.seqlets import SeqletCallback


class LogoCallback(RecordViewer):
    """Draw the logos of a few sequences, on one scale, for each record of an AttributionCallback.

    The first process draws, without pyplot. The figure goes to TensorBoard, Weights & Biases, MLflow and Comet
    loggers; for others it is written to ``figures/`` below the folder of the logger or of the Trainer. If it cannot be
    drawn, or a logger fails, a warning says so and the training goes on.

    Parameters
    ----------
    attribution : AttributionCallback or str, optional
        Whose records to draw, itself or its name; None for the only one that the Trainer has.
    seqlets : SeqletCallback or str, optional
        Whose seqlets to draw below them; None for the only one of the same AttributionCallback, if there is one.
    examples : sequence of int
        Which of the sequences.
    start, end : int, optional
        Which positions.
    name : str
        The name of the figure, different for each callback of this class.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if it is not clear which AttributionCallback to use,
        when the Trainer starts.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, LogoCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callbacks = [attribution, LogoCallback(examples=(0, 7))]
    """

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
        super().__init__(attribution, seqlets, name)
        self.examples, self.start, self.end = tuple(examples), start, end
        self.check_arguments()

    def describe(self) -> str:
        """Return what it does, in a phrase."""
        examples = ", ".join(map(str, self.examples))
        return f"logos of the sequences {examples} of {self.attribution_label}, in every logger"

    def check_against(self, recorder: Recorder) -> None:
        """Refuse sequences and positions that do not exist."""
        require_examples(self.examples, recorder)
        length = recorder.sequences.shape[2]
        start, end = self.start or 0, length if self.end is None else self.end
        if not 0 <= start < end <= length:
            raise InputError(f"start and end are {start} and {end}: expected 0 <= start < end <= {length}.")

    def on_record(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Draw a record and send the figure to the loggers, on the first process."""
        if not trainer.is_global_zero:
            return
        try:
            log_figure(trainer, self.name, self.draw(), record.name)
        except Exception as error:
            # Only the first process does this: if it stopped, the others would wait for it.
            warnings.warn(f"the figure {self.name!r} is missing: {error}", SeqlightWarning, stacklevel=2)

    def draw(self) -> Figure:
        """Return a figure of the last record, with a logo for each sequence, all on one scale."""
        record = self.attribution.record
        if record is None:
            raise InputError("there are no attributions to draw yet: expected at least one epoch with attributions.")
        figure = plot_logos(
            record.attributions,
            [f"{self.attribution.sequence_label(i)}, output {float(record.outputs[i]):.2f}" for i in self.examples],
            example_idx=self.examples,
            start=self.start,
            end=self.end,
            annotations=None if self.seqlets is None else self.seqlets.seqlets,
        )
        figure.suptitle(record.when, fontsize=10)
        return figure
