"""What the callbacks ask of a Trainer, through public names of Lightning only."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import lightning.pytorch as L
from lightning.pytorch.trainer.states import TrainerFn

from seqlight.errors import InputError
from seqlight.lit.lightning_packages import Callback, lightning_classes


def is_dry_run(trainer: L.Trainer) -> bool:
    """Return whether this is only the sanity check or a fast_dev_run, of which nothing is kept."""
    return bool(trainer.sanity_checking or trainer.fast_dev_run)  # type: ignore[attr-defined]


def is_fitting(trainer: L.Trainer) -> bool:
    """Return whether this is ``trainer.fit``, and not ``trainer.validate`` or ``trainer.test`` alone."""
    return trainer.state.fn == TrainerFn.FITTING


def trainer_stage(trainer: L.Trainer) -> str:
    """Return what the Trainer is doing: "fit", "validate" or "test"."""
    return "fit" if is_fitting(trainer) else str(getattr(trainer.state.fn, "value", "validate"))


def epochs_trained(trainer: L.Trainer) -> int:
    """Return how many epochs the model has been trained for, including one that is just ending."""
    return trainer.current_epoch + int(is_fitting(trainer))


def steps_trained(trainer: L.Trainer) -> int:
    """Return how many steps the optimizers have made, as loggers and checkpoints count them.

    With manual optimization the Trainer may see fewer steps than batches, or none at all; then batches are counted.
    """
    module: L.LightningModule | None = trainer.lightning_module
    if module is None or module.automatic_optimization:
        return int(trainer.global_step)
    return max(int(trainer.global_step), int(trainer.fit_loop.total_batch_idx) + 1)


def all_callbacks(trainer: L.Trainer) -> list[Callback]:
    """Return the callbacks in the order in which they are called."""
    return cast(list[Callback], trainer.callbacks)  # type: ignore[attr-defined]


def callbacks_before(trainer: L.Trainer, callback: Callback) -> list[Callback]:
    """Return the callbacks that are called earlier than `callback`: all, where the Trainer does not have it."""
    return list(itertools.takewhile(lambda one: one is not callback, all_callbacks(trainer)))


def output_folder(trainer: L.Trainer) -> Path:
    """Return where the Trainer writes: the folder of its first logger that has one, or else its root folder.

    Unlike ``trainer.log_dir``, this does not communicate with other processes.
    """
    folders = [logger.log_dir for logger in trainer.loggers if logger.log_dir is not None]
    return Path(folders[0] if folders else trainer.default_root_dir)


def require_unique_name(trainer: L.Trainer, callback: Callback) -> None:
    """Raise InputError if another callback of the same class has the same ``name``: both would log the same keys."""
    kind, name = type(callback), getattr(callback, "name", None)
    if sum(type(other) is kind and getattr(other, "name", None) == name for other in all_callbacks(trainer)) > 1:
        raise InputError(f"two callbacks are {kind.__name__}(name={name!r}): give each a name of its own.")


def require_unique_folder(trainer: L.Trainer, callback: Callback) -> None:
    """Raise InputError if another callback of the same class has the same ``out``: their files have the same names."""
    kind, mine = type(callback), getattr(callback, "out", None)
    if mine is None:
        return
    for other in all_callbacks(trainer):
        theirs = getattr(other, "out", None)
        if other is not callback and type(other) is kind and theirs and theirs.absolute() == mine.absolute():
            names = f"{getattr(callback, 'name', None)!r} and {getattr(other, 'name', None)!r}"
            raise InputError(
                f"{kind.__name__} {names} write to the same folder, {str(mine)!r}: give each its own `out`."
            )


def require_whole_model(trainer: L.Trainer) -> None:
    """Raise InputError if the strategy shards the model, so that no process could run it by itself."""
    if isinstance(
        trainer.strategy,
        lightning_classes("strategies.FSDPStrategy") + lightning_classes("strategies.ModelParallelStrategy"),
    ):
        raise InputError(
            f"the strategy is {type(trainer.strategy).__name__}, which shards the model: expected one in which "
            "every process has the whole model, such as 'ddp'; attribute a checkpoint after the training."
        )


def log_scalars(module: L.LightningModule, name: str, scalars: Mapping[str, float]) -> None:
    """Log numbers that are the same on every process, as ``name/key``."""
    for key, value in scalars.items():
        # The maximum of equal numbers is exact; their mean, Lightning's default, may be off in the last bit.
        module.log(f"{name}/{key}", value, on_step=False, on_epoch=True, reduce_fx="max", sync_dist=True, batch_size=1)
