"""Make a model from an instance or the name of its class, with the weights of a checkpoint."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from seqlight.errors import InputError, kind_of
from seqlight.lit.checkpoints import read_weights


def as_model(
    model: nn.Module | str,
    checkpoint: str | os.PathLike[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> nn.Module:
    """Return a model, made from its class if given by name, with the weights of a checkpoint if there is one.

    Parameters
    ----------
    model : torch.nn.Module or str
        The model, or the name of its class, ``"package.module.Class"``.
    checkpoint : str or path, optional
        A state dict, or a checkpoint of Lightning (of the model itself or of a module around it). If it was written
        while weights were averaged (EMA, SWA), the averaged ones are loaded.
    arguments : mapping, optional
        Arguments for the class.
    trusted : bool
        Whether loading the checkpoint may run code in it, as in :func:`seqlight.lit.checkpoints.read_weights`.

    Raises
    ------
    InputError
        If there is no such class of torch.nn.Module, or the checkpoint cannot be read or does not fit.

    Examples
    --------
    >>> as_model("torch.nn.Linear", arguments={"in_features": 2, "out_features": 1})
    Linear(in_features=2, out_features=1, bias=True)
    """
    if isinstance(model, str):
        model = _make(model, {} if arguments is None else arguments)
    elif arguments:
        raise InputError("there are arguments, but the model is already made: expected them with the name of a class.")
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {kind_of(model)}: expected a torch.nn.Module, or the name of a class of one.")
    if checkpoint is not None:
        _load(model, checkpoint, trusted)
    return model


def _make(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a model of the class of this name; nothing but a class of torch.nn.Module is called."""
    found = _import_class(name)
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise InputError(
            f"model is {name!r}, which is {_describe(found)}: expected the name of a class of torch.nn.Module; if a "
            "function makes the model, pass its result."
        )
    if not isinstance(arguments, Mapping) or not all(isinstance(one, str) for one in arguments):
        raise InputError(f"arguments is {kind_of(arguments)}: expected a mapping of names to values.")
    try:
        inspect.signature(found).bind(**arguments)
    except TypeError as error:
        raise InputError(f"arguments do not fit {name}: {error}.") from None
    except ValueError:
        pass  # its signature is unknown, so the call itself has to tell
    return found(**arguments)


def _import_class(name: str) -> Any:
    module, _, last = name.rpartition(".")
    try:
        return getattr(import_module(module), last)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"model is {name!r}, which is not found ({error}): expected 'package.module.Class'.") from None
    except Exception as error:
        raise InputError(
            f"model is {name!r}, and importing {module} fails ({type(error).__name__}: {error}): fix that first."
        ) from error


def _describe(found: Any) -> str:
    return f"the class {found.__qualname__}" if isinstance(found, type) else kind_of(found)


def _load(model: nn.Module, path: str | os.PathLike[str], trusted: bool) -> None:
    model = getattr(model, "_orig_mod", model)  # the wrapper of torch.compile
    weights = read_weights(path, trusted=trusted)
    names = {_without_compile_prefix(name): name for name in model.state_dict()}
    found = _match_names(weights, set(names))
    missing, unexpected = sorted(names.keys() - found.keys()), sorted(found.keys() - names.keys())
    if missing or unexpected:
        mismatch = _describe_mismatch(missing, unexpected)
        raise InputError(f"{path} is of another model: {mismatch}; expected weights of {type(model).__qualname__}.")
    try:
        model.load_state_dict({names[name]: one for name, one in found.items()})
    except RuntimeError as error:
        raise InputError(f"{path} is of another model: {str(error).splitlines()[-1].strip()}") from None


def _describe_mismatch(missing: list[str], unexpected: list[str]) -> str:
    if not missing:
        return f"it has {_first_and_count(unexpected)}, which the model does not have"
    return f"it lacks {_first_and_count(missing)}" + (
        f", and has {_first_and_count(unexpected)}, which the model does not have" if unexpected else ""
    )


def _first_and_count(names: list[str]) -> str:
    return repr(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _without_compile_prefix(name: str) -> str:
    return name.replace("_orig_mod.", "")


def _match_names(weights: Mapping[str, Any], wanted: set[str]) -> Mapping[str, Any]:
    """Return the weights under the names of the model, without the prefix of a module around it."""
    weights = {_without_compile_prefix(name): one for name, one in weights.items()}
    if wanted & weights.keys() or not wanted:
        return weights
    some = min(wanted)
    before = {name.removesuffix(some) for name in weights if name.endswith(f".{some}")}
    for prefix in sorted(before, key=len):
        inside = {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}
        if wanted <= inside.keys():
            return inside
    return weights
