"""Say in which module of a model an operation was refused."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType

from torch import nn

from seqlight.errors import UnsupportedOperation


@contextlib.contextmanager
def naming_the_module(model: nn.Module) -> Iterator[None]:
    """Add the module in whose forward an operation was refused to the error."""
    try:
        yield
    except UnsupportedOperation as error:
        error.args = (f"{error}{name_of(model, _innermost(error.__traceback__))}",)
        raise


def here(model: nn.Module) -> str:
    """Return in which module of `model` this is being called, for the end of a message; nothing outside."""
    return next((found for owner in owners() if (found := name_of(model, owner))), "")


def owners() -> Iterator[nn.Module]:
    """Yield the modules whose methods are being run, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = _owner(frame)
        if owner is not None:
            yield owner
        frame = frame.f_back


def _innermost(frames: TracebackType | None) -> nn.Module | None:
    """Return the module in whose method an error was raised, or None outside of all."""
    module = None
    while frames is not None:
        owner = _owner(frames.tb_frame)
        module = module if owner is None else owner  # not by its truth: an empty Sequential has none
        frames = frames.tb_next
    return module


def _owner(frame: FrameType) -> nn.Module | None:
    """Return the module whose method a frame is of, if it is of one."""
    # Only of methods, for `f_locals` leaves a copy of the variables on the frame. In a frame that has caught an error
    # the error would keep its traceback, the traceback the frame, and the frame the error.
    if frame.f_code.co_varnames[:1] != ("self",):
        return None
    owner = frame.f_locals.get("self")
    return owner if isinstance(owner, nn.Module) else None


def name_of(model: nn.Module, module: nn.Module | None) -> str:
    """Return where in `model` it is, for the end of a message; nothing if it is not there."""
    for name, candidate in model.named_modules():
        if candidate is module:
            return f" in module {name or 'the model itself'!r} ({type(module).__name__})"
    return ""
