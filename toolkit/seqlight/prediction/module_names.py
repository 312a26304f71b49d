"""Where in a model a call of PyTorch is made, and what it is called."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch import nn


def describe_current_module(model: nn.Module) -> str:
    """Return in which module of `model` this is being called, for the end of a message; nothing outside."""
    return next((found for owner in running_modules() if (found := describe_module(model, owner))), "")


def running_modules() -> Iterator[nn.Module]:
    """Yield the modules whose methods are being run, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = module_of(frame)
        if owner is not None:
            yield owner
        frame = frame.f_back


def module_of(frame: FrameType) -> nn.Module | None:
    """Return the module whose method a frame is of, if it is of one."""
    # Only of methods, for `f_locals` leaves a copy of the variables on the frame. In a frame that has caught an error
    # the error would keep its traceback, the traceback the frame, and the frame the error.
    if frame.f_code.co_varnames[:1] != ("self",):
        return None
    owner = frame.f_locals.get("self")
    return owner if isinstance(owner, nn.Module) else None


def describe_module(model: nn.Module, module: nn.Module | None) -> str:
    """Return where in `model` it is, for the end of a message; nothing if it is not there."""
    for name, candidate in model.named_modules():
        if candidate is module:
            return f" in module {name or 'the model itself'!r} ({type(module).__name__})"
    return ""


def plain_name(function: Any) -> str:
    """Return the name of a function of PyTorch as one would write it.

    >>> import torch
    >>> plain_name(torch.Tensor.__getitem__), plain_name(torch.Tensor.add_), plain_name(torch.Tensor.data.__get__)
    ('getitem', 'add', 'data')
    """
    name = str(getattr(function, "__name__", "an operation"))
    if name in ("__get__", "__set__"):
        return str(getattr(function.__self__, "__name__", name))
    return name.strip("_")
