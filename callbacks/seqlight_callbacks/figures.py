"""Pictures of attributions while a model trains, in every logger that takes pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure

from seqlight.errors import InputError, SeqlightWarning
from seqlight.plot.logos import plot_logo
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.seqlets import SeqletCallback
from seqlight_callbacks.trainers import before, idle, require_lightning, require_own_name


class LogoCallback(Callback):
    """Draw the logos of a few sequences at the end of each attributed epoch.

    The first process draws, without pyplot. The figure goes to TensorBoard, Weights & Biases, MLflow and
    Comet loggers, and otherwise into ``figures/`` below the log folder of the Trainer. A picture that
    cannot be drawn or a logger that fails is a warning and not the end of the training.

    Parameters
    ----------
    attribution : AttributionCallback
        Which must stand before this callback in the list of the Trainer.
    seqlets : SeqletCallback, optional
        Whose seqlets to draw beneath; it must stand before this callback too.
    examples : sequence of int
        Which of the sequences.
    start, end : int, optional
        Which positions.
    name : str
        What to call the figure, one for each callback of this kind.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if what it draws does not stand before it,
        when the Trainer starts.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, LogoCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callbacks = [attribution, LogoCallback(attribution, examples=(0, 7))]
    """

    def __init__(
        self,
        attribution: AttributionCallback,
        seqlets: SeqletCallback | None = None,
        examples: Sequence[int] = (0, 1, 2),
        start: int | None = None,
        end: int | None = None,
        name: str = "logos",
    ) -> None:
        super().__init__()
        self.attribution, self.seqlets = attribution, seqlets
        self.examples, self.start, self.end, self.name = tuple(examples), start, end, name
        n = len(attribution.sequences)
        if not self.examples or not all(0 <= example < n for example in self.examples):
            raise InputError(
                f"examples is {self.examples} and there are {n} sequences: expected numbers from 0 to {n - 1}."
            )

    @property
    def state_key(self) -> str:
        """What tells several of these apart in a checkpoint."""
        return self._generate_state_key(name=self.name)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a list of callbacks in which there would be nothing to draw yet."""
        require_lightning(trainer)
        require_own_name(trainer, self)
        needed = [one for one in (self.attribution, self.seqlets) if one is not None]
        if not all(one in before(trainer, self) for one in needed):
            raise InputError(
                "LogoCallback found what it draws not before it in the Trainer's callbacks: "
                "list AttributionCallback, SeqletCallback, LogoCallback in this order."
            )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw and log, on the first process."""
        record = self.attribution.record
        if idle(trainer) or record is None or not self.attribution.is_current(trainer) or not trainer.is_global_zero:
            return
        try:
            log_figure(trainer, self.name, self.draw(), record.epoch)
        except Exception as error:
            # One process is here alone: were it to stop, the others would wait for it.
            warnings.warn(f"the figure {self.name!r} is missing: {error}", SeqlightWarning, stacklevel=2)

    def draw(self) -> Figure:
        """Return the figure of the last record, one logo a sequence, all of one scale."""
        record = self.attribution.record
        if record is None:
            raise InputError("there are no attributions to draw yet: expected at least one validated epoch.")
        figure = Figure(figsize=(12, 1.9 * len(self.examples)), layout="constrained")
        shown = record.attributions[list(self.examples), :, self.start : self.end]
        low, high = min(0.0, float(shown.sum(dim=1).min())), float(shown.clamp_min(0).sum(dim=1).max())
        room = 0.05 * max(high - low, 1e-12)
        table = None if self.seqlets is None else self.seqlets.seqlets
        for ax, example in zip(figure.subplots(len(self.examples), squeeze=False)[:, 0], self.examples, strict=True):
            plot_logo(
                record.attributions[example],
                ax,
                start=self.start,
                end=self.end,
                annotations=table,
                example_idx=example,
                ylim=(low - room, high + room),
            )
            ax.set_title(f"sequence {example}, output {float(record.outputs[example]):.2f}", fontsize=9, loc="left")
            ax.set_ylabel("attribution")
        ax.set_xlabel("position")
        figure.suptitle(f"epoch {record.epoch}", fontsize=10)
        return figure


def log_figure(trainer: L.Trainer, name: str, figure: Figure, epoch: int) -> None:
    """Send a figure to each logger of `trainer`, or to a file where none takes figures.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        A logger of it that raises gives a warning.
    name : str
        What to call the figure; with slashes, folders.
    figure : matplotlib.figure.Figure
        What to send.
    epoch : int
        For the name of the file.
    """
    taken = False
    for logger in trainer.loggers:
        try:
            taken = _taken(logger, name, figure, trainer.global_step) or taken
        except Exception as error:
            warnings.warn(
                f"{type(logger).__name__} did not take the figure {name!r}: {error}", SeqlightWarning, stacklevel=2
            )
    if not taken:
        folder = (trainer.loggers[0].log_dir if trainer.loggers else None) or trainer.default_root_dir
        path = Path(folder) / "figures" / f"{name}-epoch-{epoch:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=100)


def _taken(logger: Any, name: str, figure: Figure, step: int) -> bool:
    experiment = logger.experiment
    if hasattr(logger, "log_image"):
        logger.log_image(name, [figure], step)
    elif hasattr(experiment, "add_figure"):
        experiment.add_figure(name, figure, global_step=step)
    elif hasattr(experiment, "log_figure") and hasattr(logger, "run_id"):
        experiment.log_figure(logger.run_id, figure, f"figures/{name}/{step:08d}.png")
    elif hasattr(experiment, "log_figure"):
        experiment.log_figure(figure_name=name, figure=figure, step=step)
    else:
        return False
    return True
