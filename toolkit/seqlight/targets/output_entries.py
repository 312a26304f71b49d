"""Entries of a model's output: a number of each row, at a column or at a place in more dimensions."""

from __future__ import annotations

import operator
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import InputError, UnsupportedOperation, kind_of
from seqlight.prediction.inputs import to_device
from seqlight.sequence.checks import require_dense
from seqlight.targets.contrast import Index


def read_entry(index: Index | tuple[Index, ...], y: Tensor) -> Tensor:
    """Return the number at a column, or at a place in an output of more dimensions, of each row; shape (rows,).

    Raises
    ------
    InputError
        If the output has no such place, or `index` holds anything but whole numbers.

    Examples
    --------
    >>> read_entry((1, 0), torch.arange(8).view(2, 2, 2))
    tensor([2, 6])
    """
    parts = index if isinstance(index, tuple) else (index,)
    with torch._C.DisableTorchFunction():
        rows = len(y) if y.ndim else 1
    found = tuple(whole for one in parts if (whole := as_index(one)) is not None)
    if len(found) < len(parts):
        raise InputError(f"index is {index!r}: expected a whole number, or a tuple of whole numbers.")
    return entry_at(y, found, rows) if isinstance(index, tuple) else column_of(y, found[0], rows)


def as_index(one: Any) -> int | None:
    """Return an integer of any library as an int, and None for anything else."""
    # To PyTorch a tensor of shape (1,) is an index; here it is the target of a single sequence.
    # Earlier releases of NumPy take their booleans for indices.
    if isinstance(one, bool | np.bool_) or getattr(one, "ndim", None) or getattr(one, "dtype", None) == torch.bool:
        return None
    try:
        return operator.index(one)
    except TypeError:
        return None


def column_of(y: Tensor, column: int, rows: int) -> Tensor:
    """Return a column of an output, which :func:`as_table` makes a table; shape (rows,)."""
    y = as_table(y, rows)
    with torch._C.DisableTorchFunction():
        require_within(column, y.shape[1])
    return y[:, column]


def as_table(y: Tensor, rows: int) -> Tensor:
    """Return an output as a tensor of shape (rows, targets)."""
    with torch._C.DisableTorchFunction():  # a mode would handle each look at the shape
        is_table = y.ndim == 2 and len(y) == rows
    if is_table:
        return y
    # A model that squeezes its output removes the rows of a batch of one.
    y = y.reshape(1) if not y.ndim and rows == 1 else y
    found = y.flatten(2).squeeze(2) if y.ndim > 2 and y.shape[2:].numel() == 1 else y
    if found.ndim == 1 and len(found) == rows:
        found = found.unsqueeze(1)
    if found.ndim != 2 or len(found) != rows:
        raise _no_table(y, rows)
    return found


def _no_table(y: Tensor, rows: int) -> InputError:
    """Return the error of an output that is no table, in the words of Python and of the command line."""
    what = f"the model turned {rows} rows into an output of shape {tuple(y.shape)}: expected (rows, targets)"
    if not y.ndim:
        return InputError(
            f"{what}; return a number for each row from its forward, in place of a mean or a loss of all."
        )
    error = InputError(
        f"{what}; pass as target a tuple of indices, which selects one number, or a function that reduces the output "
        "to one number for each row, for instance lambda y: y.sum(dim=(1, 2))."
    )
    error.typed = (
        f"{what}, from the forward of the model, or as --target the path of a function, package.module.function."
    )
    if y.ndim > 2 and len(y) == rows:
        place = ", ".join("0" * (y.ndim - 1))
        error.typed = (
            f"{what}; choose a number of it, such as --target '({place})', a place, --target counts, the sum, or the "
            "path of a function, package.module.function."
        )
    return error


def entry_at(y: Tensor, index: tuple[int, ...], rows: int) -> Tensor:
    """Return the number at the same place of each row."""
    if y.ndim != len(index) + 1 or len(y) != rows:
        raise InputError(
            f"target is {index} and the model turned {rows} rows into an output of shape {tuple(y.shape)}: "
            "expected one index for each dimension except the first."
        )
    for i, size in zip(index, y.shape[1:], strict=True):
        require_within(i, size)
    place: tuple[Any, ...] = (slice(None), *index)
    found: Tensor = y[place]
    return found


def entries_at(y: Tensor, index: Tensor) -> Tensor:
    """Return the number of each row at the place in its row of `index`, (rows, dimensions), which is on the CPU."""
    if y.ndim != index.shape[1] + 1 or len(y) != len(index):
        raise InputError(
            f"target has {index.shape[1]} indices for each sequence and the model turned {len(index)} rows into an "
            f"output of shape {tuple(y.shape)}: expected one index for each dimension except the first."
        )
    for one, size in zip(index.unbind(1), y.shape[1:], strict=True):
        require_within(int(one.min()), size)
        require_within(int(one.max()), size)
    return y[(torch.arange(len(y), device=y.device), *to_device(index, y.device).unbind(1))]


def require_within(target: int, size: int) -> None:
    """Raise InputError unless there is an output at index `target`."""
    if not -size <= target < size:
        outputs = f"{size} outputs: expected 0 to {size - 1}"
        if size < 2:
            outputs = "1 output: expected 0, its only output" if size else "no output: expected at least one"
        raise InputError(f"target is {target!r} and the model has {outputs}.")


def require_numbers(found: object, rows: int) -> Tensor:
    """Return what a target function returned, shape (rows,); InputError if it is anything else."""
    if not isinstance(found, Tensor) or require_dense(found, "the result of the target function").shape not in (
        (rows,),
        (rows, 1),
    ):
        shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else kind_of(found)
        raise InputError(
            f"the target function returned {shape} for the output of {rows} rows: expected shape ({rows},)."
        )
    return found.reshape(rows)


def require_one_tensor(output: Any) -> Tensor:
    """Return an output; UnsupportedOperation, with a remedy, if it is not one tensor."""
    if isinstance(output, Tensor):
        with torch._C.DisableTorchFunction():
            return require_dense(output, "the model's output")
    found, example, head = kind_of(output), "", ""
    if isinstance(output, Mapping) and output:
        found, example = f"{found} of {', '.join(map(repr, output))}", 'y["key"][:, 0]'
        head = repr(next(iter(output)))
    elif isinstance(output, tuple | list):
        example, head = "y[0][:, 0]", "0"
    elif hasattr(output, "__dict__"):
        example, head = "y.name[:, 0]", "'name'"
    remedy = "return one tensor from its forward"
    if example:
        remedy = (
            f"pass as target one of seqlight.targets, such as Column(0, head={head}), or a function that takes what "
            f"the model returns and returns one number for each row, for instance lambda y: {example}"
        )
    error = UnsupportedOperation(f"the model returns {found}: expected one tensor; {remedy}.")
    if example:
        key = head.strip("'\"")
        named = key if key.isidentifier() or key.isdigit() else f'"{key}"'  # a name need not have quotation marks
        column = shlex.quote(f"column(0, head={named})")
        error.typed = (
            f"the model returns {found}: expected one tensor; choose a number of it, such as --target {column}, with "
            "the place or the name of the tensor as head, or the path of a function, package.module.function."
        )
    raise error
