"""A figure for every logger that a Trainer has, whether it takes figures or not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from matplotlib.figure import Figure

from seqlight.errors import SeqlightWarning
from seqlight.files.atomic import atomic_write


def log_figure(trainer: L.Trainer, name: str, figure: Figure, where: str) -> None:
    """Send a figure to each logger of `trainer`; call it on the first process only.

    TensorBoard, Weights & Biases, MLflow and Comet take it as a figure. A logger with a folder, such as the
    CSVLogger, gets a file in ``figures/`` there; and so does the root folder of the Trainer, if nobody else took it.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        A logger of it that raises gives a warning.
    name : str
        What to call the figure; with slashes, folders.
    figure : matplotlib.figure.Figure
        What to send.
    where : str
        What of the training it shows, for the name of the file: ``epoch-001-step-00000012``.
    """
    taken = False
    for logger in trainer.loggers:
        try:
            if _shown(logger, name, figure, trainer.global_step):
                taken = True
            elif logger.log_dir is not None:
                _write(Path(logger.log_dir), name, figure, where)
                taken = True
        except Exception as error:
            warnings.warn(
                f"{type(logger).__name__} did not take the figure {name!r}: {error}", SeqlightWarning, stacklevel=2
            )
    if not taken:
        _write(Path(trainer.default_root_dir), name, figure, where)


def _shown(logger: Any, name: str, figure: Figure, step: int) -> bool:
    """Give the figure to a logger that takes figures; return whether it does."""
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


def _write(folder: Path, name: str, figure: Figure, where: str) -> None:
    path = folder / "figures" / f"{name}-{where}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=100, format="png")
