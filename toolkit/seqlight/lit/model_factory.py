"""Make a model from an instance or the name of its class, with the weights of a checkpoint."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from seqlight.errors import InputError, kind_of
from seqlight.lit.checkpoints import Checkpoint, read_checkpoint
from seqlight.lit.hyper_parameters import stored_arguments
from seqlight.lit.model_names import find_model, offered_model

# How many names a message lists.
SHOWN = 8


def as_model(
    model: nn.Module | str,
    checkpoint: str | os.PathLike[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    trusted: bool = False,
    module: str | None = None,
) -> nn.Module:
    """Return a model, made from its class if given by name, with the weights of a checkpoint if there is one.

    Parameters
    ----------
    model : torch.nn.Module or str
        The model, or the name of its class, as in :func:`seqlight.lit.model_names.find_model`.
    checkpoint : str or path, optional
        A state dict, in a file of PyTorch or of safetensors, or a checkpoint of Lightning (of the model itself or of a
        module around it). If it was written while weights were averaged (EMA, SWA), the averaged ones are loaded.
    arguments : mapping, optional
        Arguments for the class. Those of a LightningModule that are not given are taken from the checkpoint, where
        ``save_hyperparameters`` has stored them.
    trusted : bool
        Whether loading the checkpoint may run code in it, as in :func:`seqlight.lit.checkpoints.read_weights`.
    module : str, optional
        The part of the model to return, such as ``"net"`` of a LightningModule that has ``self.net``; only its weights
        are loaded.

    Raises
    ------
    InputError
        If there is no such class of torch.nn.Module, or the checkpoint cannot be read or does not fit.

    Examples
    --------
    >>> as_model("torch.nn.Linear", arguments={"in_features": 2, "out_features": 1})
    Linear(in_features=2, out_features=1, bias=True)
    """
    stored = None
    if isinstance(model, str):
        found = _require_class(model)
        # Read before the model is made, which takes memory, and may need what is stored.
        stored = None if checkpoint is None else read_checkpoint(checkpoint, trusted=trusted)
        model = _make(model, found, _arguments(found, stored, checkpoint, arguments))
    elif arguments:
        raise InputError("there are arguments, but the model is already made: expected them with the name of a class.")
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {kind_of(model)}: expected a torch.nn.Module, or the name of a class of one.")
    part = model if module is None else _part(model, module)
    if checkpoint is not None:
        _load(part, checkpoint, stored or read_checkpoint(checkpoint, trusted=trusted), module)
    return part


def _require_class(name: str) -> Any:
    """Return the class of torch.nn.Module of this name; nothing else is called, but for what packages offer."""
    found = find_model(name)
    is_offered = "." not in name and callable(found) and offered_model(name) is not None
    if not is_offered and (not isinstance(found, type) or not issubclass(found, nn.Module)):
        raise InputError(
            f"model is {name!r}, which is {_describe(found)}: expected the name of a class of torch.nn.Module; if a "
            "function makes the model, pass its result."
        )
    return found


def _arguments(
    cls: Any, stored: Checkpoint | None, path: str | os.PathLike[str] | None, given: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """Return the arguments of a class; those of a LightningModule are completed from its checkpoint."""
    given = {} if given is None else given
    if not isinstance(given, Mapping) or not all(isinstance(one, str) for one in given):
        raise InputError(f"arguments is {kind_of(given)}: expected a mapping of names to values.")
    if stored is None or path is None or not hasattr(cls, "load_from_checkpoint"):
        return given
    return stored_arguments(cls, stored, path, given)


def _make(name: str, cls: Any, arguments: Mapping[str, Any]) -> Any:
    try:
        signature = inspect.signature(cls)
    except ValueError:
        return cls(**arguments)  # which has to tell itself what it takes
    try:
        signature.bind(**arguments)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "none"
        raise InputError(
            f"arguments do not fit {name}: {error}; it takes {takes}; on the command line they are --init_args."
        ) from None
    return cls(**arguments)


def _part(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:
        parts = [one for one, _ in model.named_children()]
        known = ", ".join(map(repr, parts[:SHOWN])) or "none"
        raise InputError(
            f"module is {name!r}, and {type(model).__qualname__} has no such part: expected one of its parts "
            f"({known}), or one inside of these."
        ) from None


def _describe(found: Any) -> str:
    return f"the class {found.__qualname__}" if isinstance(found, type) else kind_of(found)


def _load(model: nn.Module, path: str | os.PathLike[str], stored: Checkpoint, part: str | None) -> None:
    model = getattr(model, "_orig_mod", model)  # the wrapper of torch.compile
    names = {_without_compile_prefix(name): name for name in model.state_dict()}
    found = _match_names(_of_part(stored.weights, part), set(names))
    missing, unexpected = sorted(names.keys() - found.keys()), sorted(found.keys() - names.keys())
    if missing or unexpected:
        mismatch = _describe_mismatch(missing, unexpected)
        raise InputError(
            f"{path} is of another model: {mismatch}; expected weights of {type(model).__qualname__}"
            f"{_advice(model, found, names)}."
        )
    try:
        model.load_state_dict({names[name]: one for name, one in found.items()})
    except RuntimeError as error:
        what = str(error).splitlines()[-1].strip().rstrip(".")
        raise InputError(
            f"{path} is of another model: {what}; was that made with other arguments (init_args)?"
        ) from None


def _of_part(weights: Mapping[str, Any], part: str | None) -> Mapping[str, Any]:
    """Return the weights of one part of the model that was saved; all of them if none has its prefix."""
    if part is None:
        return weights
    prefix = f"{part}."
    inside = {
        name.removeprefix(prefix): one
        for name, one in ((_without_compile_prefix(name), one) for name, one in weights.items())
        if name.startswith(prefix)
    }
    return inside or weights


def _advice(model: nn.Module, found: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    """Return what may be the reason that weights do not fit, where their names say so."""
    for part, _ in model.named_children():
        inside = {name.removeprefix(f"{part}.") for name in wanted if name.startswith(f"{part}.")}
        if inside and inside <= found.keys():
            return f"; they fit its part {part!r}, which module={part!r} (--module {part}) takes"
    if wanted.keys() & found.keys():
        return ""
    return "; no name fits: give the class that was saved, and with `module` the part of it that is wanted"


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
