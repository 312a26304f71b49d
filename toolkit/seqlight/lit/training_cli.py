"""LightningCLI for the training of any model, which does not begin anew where it was told to go on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI

from seqlight.errors import InputError

LAST = "last"
# Where some options are that are often typed without their place, beside those of the Trainer.
PLACES = {"batch_size": "data.batch_size", "checkpoint": "ckpt_path", "seed": "seed_everything"}


class TrainingCLI(LightningCLI):
    """LightningCLI whose ``--ckpt_path last`` is refused where there are checkpoints, and none that it would take.

    Lightning looks for the last checkpoint only where a ``ModelCheckpoint`` with a ``dirpath`` of its own keeps one,
    and begins anew otherwise: an interrupted training would be lost, or weights be measured that nobody trained.
    """

    def before_fit(self) -> None:
        """Refuse to begin anew beside the checkpoints of an earlier training; without any it begins."""
        self._require_last("fit", begins=True)

    def before_validate(self) -> None:
        """Refuse to measure other weights than those that were asked for."""
        self._require_last("validate")

    def before_test(self) -> None:
        """Refuse to measure other weights than those that were asked for."""
        self._require_last("test")

    def _require_last(self, subcommand: str, begins: bool = False) -> None:
        if self.config_init[subcommand].get("ckpt_path") != LAST or any(_last_checkpoints(self.trainer)):
            return
        newest = max(_earlier_checkpoints(self.trainer), key=lambda one: one.stat().st_mtime_ns, default=None)
        if newest is not None or not begins:
            raise InputError(_refusal(newest))


def find_option(name: str) -> str | None:
    """Return the option that is meant by a name without its place; None if that is not known.

    Examples
    --------
    >>> find_option("max_epochs"), find_option("seed"), find_option("width")
    ('trainer.max_epochs', 'seed_everything', None)
    """
    return f"trainer.{name}" if name in inspect.signature(Trainer).parameters else PLACES.get(name)


def _refusal(newest: Path | None) -> str:
    wanted = "the path of one" if newest is None else f"the newest, {newest}"
    return (
        f"ckpt_path is {LAST!r}, and no last checkpoint is where the trainer looks: give {wanted}; it finds the last "
        "one itself if its callbacks have a ModelCheckpoint with save_last and a dirpath."
    )


def _last_checkpoints(trainer: Any) -> Iterator[Path]:
    """Yield what Lightning takes for the last checkpoint."""
    for one in trainer.checkpoint_callbacks:
        if isinstance(one, ModelCheckpoint):
            folder = one.dirpath or (None if trainer.loggers else Path(trainer.default_root_dir) / "checkpoints")
            if folder is not None:
                yield from Path(folder).glob(f"{one.CHECKPOINT_NAME_LAST}*{one.FILE_EXTENSION}")
    for one in trainer.callbacks:
        path = getattr(one, "ckpt_path", None)  # of an OnExceptionCheckpoint
        if path is not None and Path(path).exists():
            yield Path(path)


def _earlier_checkpoints(trainer: Any) -> Iterator[Path]:
    """Yield the checkpoints of earlier trainings with the same folder."""
    root = Path(trainer.default_root_dir)
    folders = [root / "checkpoints"]
    for one in trainer.loggers:
        folders += (Path(one.save_dir or root) / str(one.name)).glob("*/checkpoints")
    folders += [Path(one.dirpath) for one in trainer.checkpoint_callbacks if getattr(one, "dirpath", None)]
    for folder in folders:
        yield from folder.glob("*.ckpt")
