"""Train from YAML files: ``python -m seqlight.lit fit --config configs/train.yaml``."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.cli import ArgsType, LightningCLI

from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule
from seqlight.lit.training_cli import TrainingCLI


def cli(args: ArgsType = None, run: bool = True, **settings: Any) -> LightningCLI:
    """Run LightningCLI on a `TrainModule` and a `SequenceDataModule`, or one derived from it.

    Parameters
    ----------
    args : list of str, or dict, optional
        The arguments; those of the command line if None.
    run : bool
        Run the command; if False, only make the trainer, the model and the datamodule.
    **settings
        Further arguments of LightningCLI.

    Returns
    -------
    lightning.pytorch.cli.LightningCLI
        Holds the trainer, the model and the datamodule.
    """
    # A second run into the same folder is common, and does not overwrite checkpoints.
    defaults: dict[str, Any] = {"save_config_kwargs": {"overwrite": True}, "auto_configure_optimizers": False}
    return TrainingCLI(
        TrainModule, SequenceDataModule, subclass_mode_data=True, args=args, run=run, **defaults | settings
    )


if __name__ == "__main__":
    cli()
