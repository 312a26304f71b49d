"""Say in which module of a model an operation was refused."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from torch import nn

from seqlight.errors import UnsupportedOperation


@contextlib.contextmanager
def naming_the_module(model: nn.Module) -> Iterator[None]:
    """Add the module in whose forward an operation was refused to the error."""
    try:
        yield
    except UnsupportedOperation as error:
        frames, module = error.__traceback__, None
        while frames is not None:
            owner = frames.tb_frame.f_locals.get("self")
            module = owner if isinstance(owner, nn.Module) else module
            frames = frames.tb_next
        raise UnsupportedOperation(f"{error}{name_of(model, module)}") from None


def here(model: nn.Module) -> str:
    """Return in which module of `model` this is being called, for the end of a message; nothing outside."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        owner = frame.f_locals.get("self")
        found = name_of(model, owner) if isinstance(owner, nn.Module) else ""
        if found:
            return found
        frame = frame.f_back
    return ""


def name_of(model: nn.Module, module: nn.Module | None) -> str:
    """Return where in `model` it is, for the end of a message; nothing if it is not there."""
    for name, candidate in model.named_modules():
        if candidate is module:
            return f" in module {name or 'the model itself'!r} ({type(module).__name__})"
    return ""
