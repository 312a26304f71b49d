"""Add to an error that a model raises: the name of the module, and what to try."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from types import TracebackType

import torch
from torch import nn

from seqlight.errors import UnsupportedOperation
from seqlight.prediction.device_memory import is_out_of_memory
from seqlight.prediction.module_names import module_of, with_module

# What PyTorch says of calls that autograd cannot follow, and what seqlight says of them.
_WITHOUT_GRADIENT = {
    re.compile(r"(\w+)\(\): functions with out=\.\.\. arguments don't support automatic differentiation"): (
        r"\1 with out= hides what depends on the input: use its result."
    ),
    re.compile("cannot resize variables that require grad"): (
        "resize_ of a tensor that depends on the input has no gradient: use a new tensor."
    ),
    re.compile("[Ii]nference tensor"): (
        "a tensor that was made in torch.inference_mode() takes part, and autograd cannot keep it: make it outside of "
        "that mode, or use a clone of it."
    ),
}


@contextlib.contextmanager
def add_module_name(model: nn.Module) -> Iterator[None]:
    """Add the name of the module that called it to the error of an operation that we refuse, or that autograd does."""
    try:
        yield
    except UnsupportedOperation as error:
        error.args = (with_module(str(error), model, _innermost(error.__traceback__)),)
        raise
    except RuntimeError as error:
        _refuse(error, model)
        raise


@contextlib.contextmanager
def refuse_by_name(model: nn.Module) -> Iterator[None]:
    """Raise UnsupportedOperation, with the module that called it, for an operation that autograd refuses."""
    try:
        yield
    except UnsupportedOperation:
        raise
    except RuntimeError as error:
        _refuse(error, model)
        raise


def _refuse(error: RuntimeError, model: nn.Module) -> None:
    for pattern, sentence in _WITHOUT_GRADIENT.items():
        found = pattern.search(str(error))
        if found is not None:
            message = with_module(found.expand(sentence), model, _innermost(error.__traceback__))
            refusal = UnsupportedOperation(message)
            raise refusal from error


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
