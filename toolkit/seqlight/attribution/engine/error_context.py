"""Say in which module of a model an operation was refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

from torch import nn

from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import describe_module, module_of


@contextlib.contextmanager
def naming_the_module(model: nn.Module) -> Iterator[None]:
    """Add the module in whose forward an operation was refused to the error."""
    try:
        yield
    except UnsupportedOperation as error:
        error.args = (f"{error}{describe_module(model, _innermost(error.__traceback__))}",)
        raise


def _innermost(frames: TracebackType | None) -> nn.Module | None:
    """Return the module in whose method an error was raised, or None outside of all."""
    module = None
    while frames is not None:
        owner = module_of(frames.tb_frame)
        module = module if owner is None else owner  # not by its truth: an empty Sequential has none
        frames = frames.tb_next
    return module
