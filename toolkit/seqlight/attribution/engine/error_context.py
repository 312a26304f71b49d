"""Add to an error that a model raises: the name of the module, and what to try."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

import torch
from torch import nn

from seqlight.errors import UnsupportedOperation
from seqlight.prediction.device_memory import is_out_of_memory
from seqlight.prediction.module_names import describe_module, module_of


@contextlib.contextmanager
def add_module_name(model: nn.Module) -> Iterator[None]:
    """Add to the error of a refused operation the name of the module that called it."""
    try:
        yield
    except UnsupportedOperation as error:
        error.args = (f"{error}{describe_module(model, _innermost(error.__traceback__))}",)
        raise


def _innermost(frames: TracebackType | None) -> nn.Module | None:
    """Return the innermost module in one of whose methods an error was raised, or None."""
    module = None
    while frames is not None:
        owner = module_of(frames.tb_frame)
        module = module if owner is None else owner  # "is None", because an empty Sequential is false
        frames = frames.tb_next
    return module


@contextlib.contextmanager
def add_hints(dtype: torch.dtype | None) -> Iterator[None]:
    """Add a note to errors that often come from how the model was called.

    Parameters
    ----------
    dtype : torch.dtype, optional
        The dtype that the model was asked to run in; None for its own.
    """
    try:
        yield
    except Exception as error:
        note = _hint(error, dtype)
        if note:
            error.add_note(f"seqlight: {note}")
        raise


def _hint(error: Exception, dtype: torch.dtype | None) -> str:
    text = str(error)
    if is_out_of_memory(error):
        return ""
    if (
        isinstance(error, RuntimeError)
        and dtype is not None
        and any(one in text for one in ("type", "Double", "Float"))
    ):
        return (
            f"the model was run in {dtype}, as asked; a model that makes tensors of another dtype in its forward, as "
            "x.float() does, runs with dtype=None."
        )
    if isinstance(error, TypeError) and "forward() missing" in text:
        return "further inputs of the model are passed as args=(tensor, ...), with a row for each sequence."
    if isinstance(error, NotImplementedError) and 'required "forward"' in text:
        return "the model needs a forward that returns its output; or pass the network inside it."
    return ""
