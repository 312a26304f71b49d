"""The arguments of a LightningModule that its checkpoint stores, as ``load_from_checkpoint`` uses them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from lightning.fabric.utilities.data import AttributeDict

from seqlight.errors import InputError
from seqlight.lit.checkpoints import TRUST, Checkpoint
from seqlight.lit.restricted_pickle import StandIn, original_name

# What LightningCLI stores beside the arguments: how to make objects of the classes that they name.
INSTANTIATOR = "_instantiator"


def stored_arguments(
    cls: type, checkpoint: Checkpoint, path: str | os.PathLike[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments for a LightningModule: those that it was saved with, and instead of them the `given` ones.

    Parameters
    ----------
    cls : type
        The class of the LightningModule.
    checkpoint : Checkpoint
        As from :func:`seqlight.lit.checkpoints.read_checkpoint`.
    path : str or path
        The file, for error messages.
    given : mapping
        Arguments of the caller.

    Raises
    ------
    InputError
        If an argument was stored as something that only code in the file can make.
    """
    stored = {name: one for name, one in checkpoint.hyper_parameters.items() if isinstance(name, str)}
    from_cli = stored.pop(INSTANTIATOR, None) is not None
    names, takes_any = _parameters(cls)
    as_one = checkpoint.hyper_parameters_name
    if as_one in names and as_one not in given:
        for name, one in stored.items():
            _require_plain(path, name, one, from_cli)
        return {as_one: AttributeDict(stored), **given}
    kept = {name: one for name, one in stored.items() if (name in names or takes_any) and name not in given}
    for name, one in kept.items():
        _require_plain(path, name, one, from_cli)
    return kept | dict(given)


def _parameters(cls: type) -> tuple[set[str], bool]:
    """Return the names of the arguments of a class, and whether it takes any others."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except ValueError:
        return set(), True
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = {one.name for one in parameters if one.kind not in variable}
    return names, any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)


def _require_plain(path: str | os.PathLike[str], name: str, value: Any, from_cli: bool) -> None:
    """Raise InputError for an argument that would have to be made by code."""
    if from_cli and isinstance(value, Mapping) and "class_path" in value:
        raise InputError(
            f"{path} was written by LightningCLI, with {name} as {value['class_path']}, and nothing that a file names "
            f"is called: give {name} with the arguments of the model, or the class of the part that you need."
        )
    hidden = _find_stand_in(value)
    if hidden is not None:
        raise InputError(
            f"{path} has the hyper-parameter {name!r} as {original_name(hidden)}, which only its own code can make: "
            f"give {name} with the arguments of the model (init_args), or {TRUST}."
        )


def _find_stand_in(value: Any) -> StandIn | type | None:
    if isinstance(value, StandIn) or (isinstance(value, type) and issubclass(value, StandIn)):
        return value
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple | set) else ()
    return next((found for one in inside if (found := _find_stand_in(one)) is not None), None)
