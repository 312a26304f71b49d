"""Names for error messages: in which module of a model an operation is called, and what the operation is called."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch import nn

# What is added to messages.
_PLACE = r" in (?:module '[^']*'|the model itself) \(\w+\)"
_HAPPENS = re.compile(rf" This happens{_PLACE}\.|{_PLACE}")


def describe_current_module(model: nn.Module) -> str:
    """Return which module of `model` makes the current call, as a part of a sentence; "" outside of the model."""
    return next((found for module in running_modules() if (found := describe_module(model, module))), "")


def running_modules() -> Iterator[nn.Module]:
    """Yield the modules whose methods are on the call stack, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = module_of(frame)
        if module is not None:
            yield module
        frame = frame.f_back


def module_of(frame: FrameType) -> nn.Module | None:
    """Return the module whose method a frame runs, or None."""
    # Only `f_locals` of methods is read, since reading it leaves a copy of the variables on the frame. In a frame that
    # caught an error this makes a cycle: the error keeps its traceback, the traceback the frame, the frame the error.
    if frame.f_code.co_varnames[:1] != ("self",):
        return None
    owner = frame.f_locals.get("self")
    return owner if isinstance(owner, nn.Module) else None


def describe_module(model: nn.Module, module: nn.Module | None) -> str:
    """Return where a module of `model` is, by name and class, as a part of a sentence; "" if it is not in the model.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten())
    >>> describe_module(model, model[0]), describe_module(model, model), describe_module(model, nn.ReLU())
    (" in module '0' (Flatten)", ' in the model itself (Sequential)', '')
    """
    for name, candidate in model.named_modules():
        if candidate is module:
            return f" in {f'module {name!r}' if name else 'the model itself'} ({type(module).__name__})"
    return ""


def with_module(message: str, model: nn.Module, module: nn.Module | None) -> str:
    """Return a message with one more sentence, which says in which module of `model` it happened, if in any.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten())
    >>> with_module("no: use yes.", model, model[0])
    "no: use yes. This happens in module '0' (Flatten)."
    """
    where = describe_module(model, module)
    return f"{message.removesuffix('.')}. This happens{where}." if where else message


def without_module(message: str) -> str:
    """Return a message without what names modules in it.

    Examples
    --------
    >>> without_module("tanh in module '0' (Flatten) is no. This happens in the model itself (Net).")
    'tanh is no.'
    """
    return _HAPPENS.sub("", message)


def count_frames_outside(*packages: str) -> int:
    """Return the number of frames from this function's caller to the first one outside these packages, for a warning.

    Parameters
    ----------
    packages : str
        What the names of their modules begin with, such as ``"torch."``.
    """
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(packages):
        frame, depth = frame.f_back, depth + 1
    return depth


def plain_name(function: Any) -> str:
    """Return the name of a function of PyTorch as it is usually written.

    >>> import torch
    >>> plain_name(torch.Tensor.__getitem__), plain_name(torch.Tensor.add_), plain_name(torch.Tensor.data.__get__)
    ('getitem', 'add', 'data')
    """
    name = str(getattr(function, "__name__", "an operation"))
    if name in ("__get__", "__set__"):
        return str(getattr(function.__self__, "__name__", name))
    return name.strip("_")
