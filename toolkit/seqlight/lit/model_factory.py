"""A model to run: as it is, or by the name of its class, with weights from a checkpoint."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from seqlight.errors import InputError, a
from seqlight.lit.checkpoints import read_weights


def as_model(
    model: nn.Module | str,
    checkpoint: str | os.PathLike[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    trusted: bool = False,
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
    trusted : bool
        Whether loading the checkpoint may run what it holds, as in :func:`seqlight.lit.checkpoints.read_weights`.

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
        model = _made(model, {} if arguments is None else arguments)
    elif arguments:
        raise InputError("there are arguments for a model that is made already: expected them with a name of a class.")
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {a(model)}: expected a torch.nn.Module, or the name of a class of one.")
    if checkpoint is not None:
        _load(model, checkpoint, trusted)
    return model


def _made(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a model of the class of that name; what is no such class is not called."""
    found = _found(name)
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise InputError(
            f"model is {name!r}, which is {_shown(found)}: expected the name of a class of torch.nn.Module; of what a "
            "function makes, pass the model."
        )
    if not isinstance(arguments, Mapping) or not all(isinstance(one, str) for one in arguments):
        raise InputError(f"arguments is {a(arguments)}: expected a mapping of names to values.")
    try:
        inspect.signature(found).bind(**arguments)
    except TypeError as error:
        raise InputError(f"arguments do not fit {name}: {error}.") from None
    except ValueError:
        pass  # of what has no signature that Python knows, the call tells
    return found(**arguments)


def _found(name: str) -> Any:
    module, _, last = name.rpartition(".")
    try:
        return getattr(import_module(module), last)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"model is {name!r}, which is not there ({error}): expected 'package.module.Class'.") from None
    except Exception as error:
        raise InputError(
            f"model is {name!r}, and importing {module} fails ({type(error).__name__}: {error}): mend that first."
        ) from error


def _shown(found: Any) -> str:
    return f"the class {found.__qualname__}" if isinstance(found, type) else a(found)


def _load(model: nn.Module, path: str | os.PathLike[str], trusted: bool) -> None:
    model = getattr(model, "_orig_mod", model)  # what compiling puts around it
    weights = read_weights(path, trusted=trusted)
    names = {_plain(name): name for name in model.state_dict()}
    found = _fitting(weights, set(names))
    missing, more = sorted(names.keys() - found.keys()), sorted(found.keys() - names.keys())
    if missing or more:
        raise InputError(
            f"{path} is of another model: {_difference(missing, more)}; expected weights of {type(model).__qualname__}."
        )
    try:
        model.load_state_dict({names[name]: one for name, one in found.items()})
    except RuntimeError as error:
        raise InputError(f"{path} is of another model: {str(error).splitlines()[-1].strip()}") from None


def _difference(missing: list[str], more: list[str]) -> str:
    if not missing:
        return f"it has {_first(more)}, and the model has not"
    return f"it lacks {_first(missing)}" + (f", and has {_first(more)}, which the model has not" if more else "")


def _first(names: list[str]) -> str:
    return repr(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _plain(name: str) -> str:
    return name.replace("_orig_mod.", "")


def _fitting(weights: Mapping[str, Any], wanted: set[str]) -> Mapping[str, Any]:
    """Return the weights under the names of the model, which a module around it has put something before."""
    weights = {_plain(name): one for name, one in weights.items()}
    if wanted & weights.keys() or not wanted:
        return weights
    some = min(wanted)
    before = {name.removesuffix(some) for name in weights if name.endswith(f".{some}")}
    for prefix in sorted(before, key=len):
        inside = {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}
        if wanted <= inside.keys():
            return inside
    return weights
