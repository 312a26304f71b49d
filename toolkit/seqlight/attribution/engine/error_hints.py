"""What to try when a user's model raises an error of its own: a note below it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def hinting(dtype: torch.dtype | None) -> Iterator[None]:
    """Add a note to errors that often come from how the model was called.

    Parameters
    ----------
    dtype : torch.dtype, optional
        In which the model was asked to run; None for its own.
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
    if (
        isinstance(error, RuntimeError)
        and dtype is not None
        and any(one in text for one in ("type", "Double", "Float"))
    ):
        return (
            f"the model was run in {dtype}, as asked; one that makes tensors of another dtype in its forward, as "
            "x.float() does, runs with dtype=None."
        )
    if isinstance(error, TypeError) and "forward() missing" in text:
        return "further inputs of the model are passed as args=(tensor, ...), with a row for each sequence."
    if isinstance(error, NotImplementedError) and 'required "forward"' in text:
        return "the model needs a forward that returns its output; or pass the network inside it."
    return ""
