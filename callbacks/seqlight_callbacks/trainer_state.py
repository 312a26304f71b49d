"""What our callbacks ask of a Trainer, with public names of Lightning only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import lightning.pytorch as L
from lightning.pytorch.trainer.states import TrainerFn

from seqlight.errors import InputError
from seqlight.lit.lightning_packages import Callback, lightning_classes
from seqlight.lit.trainer_check import require_lightning as require_lightning


def idle(trainer: L.Trainer) -> bool:
    """Return whether this is only a rehearsal: the sanity check, or a fast_dev_run."""
    return bool(trainer.sanity_checking or trainer.fast_dev_run)  # type: ignore[attr-defined]


def fitting(trainer: L.Trainer) -> bool:
    """Return whether this is ``trainer.fit``, and not ``trainer.validate`` or ``trainer.test`` alone."""
    return trainer.state.fn == TrainerFn.FITTING


def stage(trainer: L.Trainer) -> str:
    """Return what the Trainer does: "fit", "validate" or "test"."""
    return "fit" if fitting(trainer) else str(getattr(trainer.state.fn, "value", "validate"))


def epochs_trained(trainer: L.Trainer) -> int:
    """Return how many epochs the model has seen, one that is just ending included."""
    return trainer.current_epoch + int(fitting(trainer))


def steps_trained(trainer: L.Trainer) -> int:
    """Return how many steps the optimizers made, as loggers and checkpoints count them.

    Who steps them by hand may do so seldom, or behind the Trainer's back, where none is counted; then batches are,
    where there were more.
    """
    module: L.LightningModule | None = trainer.lightning_module
    if module is None or module.automatic_optimization:
        return int(trainer.global_step)
    return max(int(trainer.global_step), int(trainer.fit_loop.total_batch_idx) + 1)


def listed(trainer: L.Trainer) -> list[Callback]:
    """Return the callbacks in the order in which they are called."""
    return cast(list[Callback], trainer.callbacks)  # type: ignore[attr-defined]


def before(trainer: L.Trainer, callback: Callback) -> list[Callback]:
    """Return the callbacks that are called earlier than `callback`."""
    callbacks = listed(trainer)
    return callbacks[: callbacks.index(callback)]


def folder(trainer: L.Trainer) -> Path:
    """Return where the Trainer writes: the folder of its first logger that has one, or its root.

    Unlike ``trainer.log_dir`` it asks no other process.
    """
    found = [logger.log_dir for logger in trainer.loggers if logger.log_dir is not None]
    return Path(found[0] if found else trainer.default_root_dir)


def require_own_name(trainer: L.Trainer, callback: Callback) -> None:
    """Raise InputError if a callback of the same kind has the same ``name``: one would log over the other."""
    kind, name = type(callback), getattr(callback, "name", None)
    if sum(type(other) is kind and getattr(other, "name", None) == name for other in listed(trainer)) > 1:
        raise InputError(f"two callbacks are {kind.__name__}(name={name!r}): give each a name of its own.")


def require_own_folder(trainer: L.Trainer, callback: Callback) -> None:
    """Raise InputError if a callback of the same kind writes to the same ``out``, where one would replace the other."""
    kind, mine = type(callback), getattr(callback, "out", None)
    if mine is None:
        return
    for other in listed(trainer):
        theirs = getattr(other, "out", None)
        if other is not callback and type(other) is kind and theirs and theirs.absolute() == mine.absolute():
            names = f"{getattr(callback, 'name', None)!r} and {getattr(other, 'name', None)!r}"
            raise InputError(f"{kind.__name__} {names} write to one folder, {str(mine)!r}: give each its own `out`.")


def require_whole_model(trainer: L.Trainer) -> None:
    """Raise InputError if each process has a part of the model only, so that none can run it by itself."""
    if isinstance(
        trainer.strategy,
        lightning_classes("strategies.FSDPStrategy") + lightning_classes("strategies.ModelParallelStrategy"),
    ):
        raise InputError(
            f"the strategy is {type(trainer.strategy).__name__}, which cuts the model into pieces: expected one in "
            "which each process has all of it, such as 'ddp'; attribute a checkpoint after the training."
        )


def log_numbers(module: L.LightningModule, name: str, numbers: Mapping[str, float]) -> None:
    """Log what every process has alike, behind ``name/``."""
    for key, value in numbers.items():
        # The largest of equal numbers is that number to the last bit; their mean, Lightning's default, is not.
        module.log(f"{name}/{key}", value, on_step=False, on_epoch=True, reduce_fx="max", sync_dist=True, batch_size=1)
