"""The heads of a model: one tensor of what it returns, with rows, tasks and positions where they are expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.sequence.checks import require_dense

# A place in a tuple, a key of a dict or the name of a field; several lead into nested outputs. None: the output itself.
Head: TypeAlias = int | str | tuple[int | str, ...] | None


def select_head(output: Any, head: Head = None) -> Tensor:
    """Return the tensor of a model's output that is called `head`.

    Parameters
    ----------
    output : anything
        What a model returned: a tensor, or tensors in tuples, lists, dicts, named tuples or objects.
    head : int, str, tuple of these, optional
        The place in a tuple, the key of a dict or the name of a field; a tuple of these for nested outputs.

    Raises
    ------
    InputError
        If there is no such head, or it is not a tensor.

    Examples
    --------
    >>> select_head({"human": (torch.zeros(2, 3), torch.ones(2, 1))}, ("human", 1)).shape
    torch.Size([2, 1])
    """
    found = output
    for part in head if isinstance(head, tuple) else () if head is None else (head,):
        found = _part_of(found, part, head)
    if not isinstance(found, Tensor):
        met = f"the model returns {_contents(found)}" if head is None else f"head {head!r} is {_contents(found)}"
        raise InputError(f"{met}: expected one tensor; name one of its parts with head=, such as {_first_part(found)}.")
    with torch._C.DisableTorchFunction():
        return require_dense(found, "the model's output")


def shape_of(y: Tensor) -> torch.Size:
    """Return the shape of an output; a mode that watches calls need not handle this one."""
    with torch._C.DisableTorchFunction():
        return y.shape


def as_tracks(output: Any, head: Head, channels_last: bool) -> Tensor:
    """Return an output with positions as (rows, tasks, positions).

    Parameters
    ----------
    output, head
        As in :func:`select_head`.
    channels_last : bool
        Whether the output is (rows, positions, tasks).

    Raises
    ------
    InputError
        If it has other dimensions; (rows, positions) counts as one task.
    """
    y = select_head(output, head)
    shape = shape_of(y)
    if len(shape) == 2:
        return y.unsqueeze(1)
    if len(shape) != 3:
        raise InputError(
            f"the output has shape {tuple(shape)}: expected (rows, tasks, positions), (rows, positions, tasks) with "
            "channels_last=True, or (rows, positions)."
        )
    return y.movedim(2, 1) if channels_last else y


def require_index(value: object, name: str) -> None:
    """Raise InputError unless a value is a whole number."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise InputError(f"{name} is {value!r}: expected a whole number.")


def require_bounds(window: object) -> None:
    """Raise InputError unless a value is None, or the start and the end of a window."""
    if window is None:
        return
    if not isinstance(window, tuple) or len(window) != 2:
        raise InputError(f"window is {window!r}: expected a start and an end, such as (100, 200).")
    for one in window:
        require_index(one, "a bound of the window")


def require_task(task: int, size: int) -> int:
    """Return the index of a task, counted from 0; InputError if there are not as many."""
    if not -size <= task < size:
        raise InputError(f"task is {task} and the output has {size}: expected {-size} to {size - 1}.")
    return task % size


def require_window(window: tuple[int, int] | None, positions: int) -> slice:
    """Return the positions of a window, all without one; InputError if it reaches outside."""
    if window is None:
        return slice(0, positions)
    start, end = window
    if not 0 <= start < end <= positions:
        raise InputError(
            f"the window is {start} to {end} and the output has {positions} positions: expected "
            f"0 <= start < end <= {positions}."
        )
    return slice(start, end)


def require_one_of(value: object, choices: tuple[str, ...], name: str) -> None:
    """Raise InputError unless a value is one of the choices."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}: expected one of {', '.join(map(repr, choices))}.")


def require_head(head: object) -> None:
    """Raise InputError unless a head is a number, a text, or a tuple of these."""
    parts = head if isinstance(head, tuple) else (head,)
    if head is not None and not all(isinstance(one, int | str) and not isinstance(one, bool) for one in parts):
        raise InputError(f"head is {head!r}: expected a place in a tuple, a key, the name of a field, or several.")


def _part_of(output: Any, part: int | str, head: Head) -> Any:
    try:
        if isinstance(output, Mapping):
            return output[part]
        if isinstance(part, int) and isinstance(output, tuple | list):
            return output[part]
        # A tuple has methods, too, and one of them is called count.
        named = part in getattr(output, "_fields", ()) or not isinstance(output, Tensor | tuple | list)
        if isinstance(part, str) and named:
            return getattr(output, part)
    except (KeyError, IndexError, AttributeError):
        pass
    advice = "no head" if isinstance(output, Tensor) else f"one of its parts, such as {_first_part(output)}"
    raise InputError(f"head is {head!r}, and the model returns {_contents(output)}: expected {advice}.")


def _first_part(output: Any) -> str:
    names = list(output) if isinstance(output, Mapping) else getattr(output, "_fields", None)
    return f"head={names[0]!r}" if names else "head=0"


def _contents(output: Any) -> str:
    """Return what an output is, and the names of its parts."""
    if isinstance(output, Tensor):
        return f"one tensor of shape {tuple(shape_of(output))}"
    if isinstance(output, Mapping):
        return f"{kind_of(output)} of {', '.join(map(repr, output))}"
    names = getattr(output, "_fields", None)
    if names:
        return f"{kind_of(output)} of {', '.join(map(repr, names))}"
    return f"{kind_of(output)} of {len(output)}" if isinstance(output, tuple | list) else kind_of(output)
