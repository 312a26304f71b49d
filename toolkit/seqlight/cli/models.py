"""Make the model that a command is given: by its class, a checkpoint, and the part of it that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def open_model(
    model: str | None,
    checkpoint: str | Path | None = None,
    module: str | None = None,
    init_args: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> nn.Module:
    """Return a model, in evaluation mode.

    Parameters
    ----------
    model : str or None
        The class of the model, or of a LightningModule around it: ``package.module.Class``, ``path/to/file.py:Class``,
        or the name of a model that an installed package offers. None if a file that is `trusted` holds the whole model.
    checkpoint : path, optional
        A state dict, in a file of PyTorch or of safetensors, or a checkpoint of Lightning.
    module : str, optional
        The part to take, such as "net" of a LightningModule that has ``self.net``.
    init_args : mapping, optional
        Arguments of the class; those of a LightningModule that are missing are taken from its checkpoint.
    trusted : bool
        Allow the checkpoint to run code when it is loaded.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        If there is no such class or part, the file cannot be read, or it does not fit.
    """
    from seqlight.lit.model_factory import as_model

    if model is None:
        whole = _whole_model(checkpoint, init_args, trusted)
        return as_model(whole, module=module).eval()
    return as_model(model, checkpoint, init_args, trusted, module).eval()


def _whole_model(checkpoint: str | Path | None, init_args: Mapping[str, Any] | None, trusted: bool) -> nn.Module:
    from seqlight.errors import InputError
    from seqlight.lit.checkpoints import read_whole_model

    if checkpoint is None or not trusted:
        raise InputError(
            "there is no --model: expected its class; only a file that holds a whole model does without, and only with "
            "--trusted, for loading it runs the code in it."
        )
    if init_args:
        raise InputError("there are --init_args and no --model: expected the class that takes them.")
    return read_whole_model(checkpoint)
