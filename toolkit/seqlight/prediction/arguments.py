"""The arguments that every call of a model shares: the model, its dtype and device, and the further inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from seqlight.errors import InputError, kind_of
from seqlight.sequence.checks import require_one_hot, require_tensor

HALF = (torch.float16, torch.bfloat16)


def require_module(model: object) -> None:
    """Raise InputError unless `model` is a torch.nn.Module whose parameters have sizes and numbers."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {_describe_other(model)}.")
    # Every call checks this, so names are only looked up for the message.
    if any(is_lazy(one) for module in model.modules() for one in _parameters_and_buffers(module)):
        lazy = next(name for name, one in chain(model.named_parameters(), model.named_buffers()) if is_lazy(one))
        raise InputError(
            f"{lazy!r} of the model has no size yet: expected a model that was called before; call it once."
        )
    if any(one.is_meta for one in model.parameters()):
        name = next(name for name, one in model.named_parameters() if one.is_meta)
        raise InputError(
            f"{name!r} of the model is on the meta device, which holds no numbers: load its weights first."
        )


def choose_device(device: str | torch.device | None, model: nn.Module | None = None) -> torch.device:
    """Return the device to run on.

    Parameters
    ----------
    device : str, torch.device or None
        None for the accelerator on which `model` lies, else for the current one of this machine, else for the CPU.
    model : torch.nn.Module, optional

    Raises
    ------
    InputError
        If there is no such device, or `model` lies on several accelerators and `device` does not choose one.
    """
    if device is not None:
        try:
            found = torch.empty(0, device=device).device
        # Without CUDA, PyTorch raises AssertionError.
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device is {device!r}: expected one of this machine, such as 'cpu' ({reason}).") from None
        if found.type == "meta":
            raise InputError("device is 'meta', which holds no data: expected one that computes, such as 'cpu'.")
        return found
    own = set() if model is None else {one.device for one in chain(model.parameters(), model.buffers())}
    places = sorted(str(one) for one in own if one.type not in ("cpu", "meta"))
    if len(places) > 1:
        raise InputError(
            f"the model lies on {' and '.join(places)}: expected a model on one device; pass as device the one to run "
            "all of it on."
        )
    if places:
        return torch.device(places[0])
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    # A new tensor, because the accelerator itself is named without the number of the current device.
    return torch.empty(0, device=torch.accelerator.current_accelerator()).device


def as_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Return a floating-point dtype given as such or by name; InputError if there is none of this name."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise InputError(f"dtype is {dtype!r}: expected a floating-point torch.dtype or its name, such as 'bfloat16'.")
    return found


def autocast(device: torch.device, dtype: torch.dtype | None) -> contextlib.AbstractContextManager[Any]:
    """Return autocast to a half-precision `dtype`, or a context that does nothing for any other."""
    return torch.autocast(device.type, dtype) if dtype in HALF else contextlib.nullcontext()


def require_inputs(X: object, args: object) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return one-hot sequences and the further inputs; InputError unless each of those has a row for each sequence."""
    X, inputs = require_one_hot(X).detach(), require_args(args)
    require_rows(inputs, len(X))
    return X, inputs


def require_args(args: object) -> tuple[Tensor, ...]:
    """Return the further inputs as a tuple of tensors; InputError if they are anything else."""
    if args is None:
        return ()
    if not isinstance(args, tuple | list):
        advice = "; a target is passed by its name, target=" if isinstance(args, int | str) else ""
        raise InputError(f"args is {kind_of(args)}: expected a tuple of tensors, one for each further input{advice}.")
    # Detached, so that no result is part of the caller's graph.
    return tuple(require_tensor(one, f"args[{i}]").detach() for i, one in enumerate(args))


def require_rows(args: Sequence[Tensor], rows: int | None) -> None:
    """Raise InputError unless each of `args` has as many rows as X."""
    for i, arg in enumerate(args):
        if rows is not None and (arg.ndim == 0 or len(arg) != rows):
            raise InputError(f"args[{i}] has shape {tuple(arg.shape)} and X {rows} rows: expected a row for each.")


def _describe_other(model: object) -> str:
    """Return what something is that is no model, what was expected, and how one is made of it."""
    if isinstance(model, type) and issubclass(model, nn.Module):
        return f"the class {model.__name__}: expected one of its objects, {model.__name__}(...)"
    advice = "wrap a function in one"
    if hasattr(model, "module"):
        advice = "pass its .module()"
    elif isinstance(model, str | Path | Mapping):
        advice = "make one, and load weights with its load_state_dict"
    return f"{kind_of(model)}: expected a torch.nn.Module; {advice}"


def _parameters_and_buffers(module: nn.Module) -> Iterator[Any]:
    return chain(module._parameters.values(), module._buffers.values())
