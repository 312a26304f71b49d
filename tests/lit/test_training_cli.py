"""What ``--ckpt_path last`` takes, and where it is refused."""

import os
from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from seqlight.errors import InputError
from seqlight.lit.training_cli import TrainingCLI


def asked(root, ckpt_path="last", callbacks=(), loggers=()):
    """Return a command line whose trainer is made, without the parser."""
    cli = object.__new__(TrainingCLI)
    cli.config_init = {name: {"ckpt_path": ckpt_path} for name in ("fit", "validate", "test")}
    cli.trainer = SimpleNamespace(
        default_root_dir=str(root), checkpoint_callbacks=list(callbacks), callbacks=list(callbacks), loggers=loggers
    )
    return cli


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def log_of(root):
    return SimpleNamespace(save_dir=str(root), name="lightning_logs")


@pytest.mark.reliability(
    "Training from a file",
    "an interrupted training is told to go on from its last checkpoint, and the trainer keeps none of that name",
    "it does not begin anew in silence: the newest checkpoint is named",
)
def test_the_newest_checkpoint_is_named(tmp_path):
    first = touch(tmp_path / "lightning_logs" / "version_0" / "checkpoints" / "epoch=0.ckpt")
    os.utime(first, (0, 0))
    newest = touch(tmp_path / "lightning_logs" / "version_1" / "checkpoints" / "epoch=1.ckpt")
    for name in ("fit", "validate", "test"):
        cli = asked(tmp_path, callbacks=[ModelCheckpoint()], loggers=[log_of(tmp_path)])
        with pytest.raises(InputError, match=f"'last', and no last .* give the newest, {newest}; it finds"):
            getattr(cli, f"before_{name}")()


def test_a_first_training_begins_and_other_paths_are_those_of_lightning(tmp_path):
    asked(tmp_path, callbacks=[ModelCheckpoint()], loggers=[log_of(tmp_path)]).before_fit()
    for name in ("validate", "test"):
        with pytest.raises(InputError, match="give the path of one"):
            getattr(asked(tmp_path), f"before_{name}")()
    touch(tmp_path / "checkpoints" / "epoch=0.ckpt")
    asked(tmp_path, "checkpoints/epoch=0.ckpt").before_fit()
    asked(tmp_path, None).before_fit()


@pytest.mark.parametrize("own", [True, False])
def test_a_last_checkpoint_that_is_kept_is_taken(tmp_path, own):
    folder = tmp_path / ("mine" if own else "checkpoints")
    touch(folder / "last-v1.ckpt")
    asked(tmp_path, callbacks=[ModelCheckpoint(folder if own else None, save_last=True)]).before_fit()
