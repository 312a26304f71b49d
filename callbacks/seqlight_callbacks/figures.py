"""Figures for every logger of a Trainer, whether it takes figures or not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from matplotlib.figure import Figure

from seqlight.errors import SeqlightWarning
from seqlight.files.atomic import atomic_write


def log_figure(trainer: L.Trainer, name: str, figure: Figure, moment: str) -> None:
    """Send a figure to each logger of `trainer`; to be called on the first process only.

    TensorBoard, Weights & Biases, MLflow and Comet take it as a figure. For a logger that only has a folder, such as
    the CSVLogger, it is written to ``figures/`` there; if no logger took it, to ``figures/`` in the Trainer's root
    folder.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        An error of one of its loggers becomes a warning.
    name : str
        The name of the figure; slashes make folders.
    figure : matplotlib.figure.Figure
        The figure.
    moment : str
        The epoch and step it shows, for the name of the file: ``epoch-001-step-00000012``.
    """
    taken = False
    for logger in trainer.loggers:
        try:
            if _send_figure(logger, name, figure, trainer.global_step):
                taken = True
            elif logger.log_dir is not None:
                _write(Path(logger.log_dir), name, figure, moment)
                taken = True
        except Exception as error:
            warnings.warn(
                f"{type(logger).__name__} did not take the figure {name!r}: {error}", SeqlightWarning, stacklevel=2
            )
    if not taken:
        _write(Path(trainer.default_root_dir), name, figure, moment)


def _send_figure(logger: Any, name: str, figure: Figure, step: int) -> bool:
    """Send a figure to a logger that takes figures, and return whether it does."""
    if hasattr(logger, "log_image"):
        logger.log_image(name, [figure], step)
        return True
    experiment = logger.experiment
    if hasattr(experiment, "add_figure"):
        experiment.add_figure(name, figure, global_step=step, close=False)
    elif hasattr(experiment, "log_figure") and hasattr(logger, "run_id"):
        experiment.log_figure(logger.run_id, figure, f"figures/{name}/{step:08d}.png")
    elif hasattr(experiment, "log_figure"):
        experiment.log_figure(figure_name=name, figure=figure, step=step)
    else:
        return False
    return True


def _write(folder: Path, name: str, figure: Figure, moment: str) -> None:
    path = folder / "figures" / f"{name}-{moment}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=100, format="png")
