"""A model to run: as it is, or by the name of its class, with weights from a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.errors import InputError, a


def as_model(
    model: nn.Module | str,
    checkpoint: str | os.PathLike[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Return a model, made if it is given by name, with the weights of a checkpoint if there is one.

    Parameters
    ----------
    model : torch.nn.Module or str
        Or ``"package.module.Class"``.
    checkpoint : str or path, optional
        A state dict, or a checkpoint of Lightning (of the model itself or of a module around it). Of one that was
        written while weights were averaged (EMA, SWA) it is the averaged ones.
    arguments : mapping, optional
        Of the class.

    Raises
    ------
    InputError
        If there is no such class, or the checkpoint does not fit.

    Examples
    --------
    >>> as_model("torch.nn.Linear", arguments={"in_features": 2, "out_features": 1})
    Linear(in_features=2, out_features=1, bias=True)
    """
    if isinstance(model, str):
        model = _class(model)(**(arguments or {}))
    elif arguments:
        raise InputError("there are arguments for a model that is made already: expected them with a name of a class.")
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {a(model)}: expected a torch.nn.Module, or the name of a class of one.")
    if checkpoint is not None:
        _load(model, Path(checkpoint))
    return model


def _class(name: str) -> Any:
    module, _, last = name.rpartition(".")
    try:
        return getattr(import_module(module), last)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"model is {name!r}, which is not there ({error}): expected 'package.module.Class'.") from None


def _load(model: nn.Module, path: Path) -> None:
    # Only numbers: a checkpoint can hold code.
    stored = torch.load(path, map_location="cpu", weights_only=True)
    weights = stored.get("state_dict", stored) if isinstance(stored, Mapping) else stored
    if not isinstance(weights, Mapping):
        raise InputError(f"{path} holds {a(weights)}: expected a state dict or a checkpoint of Lightning.")
    wanted = model.state_dict().keys()
    found = _fitting({name: one for name, one in weights.items() if isinstance(one, Tensor)}, set(wanted))
    missing, more = sorted(wanted - found.keys()), sorted(found.keys() - wanted)
    if missing or more:
        first = f"it lacks {missing[0]!r}" if missing else f"it has {more[0]!r}, and the model has not"
        raise InputError(f"{path} is of another model: {first}; expected weights of {type(model).__qualname__}.")
    try:
        model.load_state_dict(found)
    except RuntimeError as error:
        raise InputError(f"{path} is of another model: {str(error).splitlines()[-1].strip()}") from None


def _fitting(weights: dict[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    """Return the weights under the names of the model, which a module around it has put something before."""
    weights = {name.replace("_orig_mod.", ""): one for name, one in weights.items()}
    if wanted & weights.keys() or not wanted:
        return weights
    some = min(wanted)
    before = {name.removesuffix(some) for name in weights if name.endswith(f".{some}")}
    for prefix in sorted(before, key=len):
        inside = {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}
        if wanted <= inside.keys():
            return inside
    return weights
