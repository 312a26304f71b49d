"""Targets: the numbers of a model's output that are explained."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, UnsupportedOperation, kind_of
from seqlight.prediction.inputs import to_device
from seqlight.sequence.checks import require_dense


@dataclass(frozen=True, eq=False)
class Contrast:
    """The difference of two targets, to explain what distinguishes them.

    Parameters
    ----------
    a, b : int, tuple of int, torch.Tensor, numpy.ndarray or callable
        Single targets, as in :func:`seqlight.attribute`; what is explained is `a` minus `b`.

    Examples
    --------
    >>> import seqlight as sl
    >>> sl.Contrast(0, 1)
    Contrast(a=0, b=1)
    """

    a: SingleTarget
    b: SingleTarget


Index: TypeAlias = int | np.integer[Any]
SingleTarget: TypeAlias = (
    Index | tuple[Index, ...] | Tensor | NDArray[np.integer[Any]] | Callable[[Any], Tensor] | Contrast
)
Target: TypeAlias = SingleTarget | list[SingleTarget]


class Targets:
    """Reads the numbers to explain from a model's output: one for each row and target.

    Parameters
    ----------
    target : int, tuple of int, torch.Tensor, numpy.ndarray, callable, Contrast, or list of these
        As in :func:`seqlight.attribute`. An array is treated as a tensor, and one without dimensions as an int.
    rows : int
        How many sequences there are.

    Attributes
    ----------
    several : bool
        Whether `target` is a list, so that results have a dimension of targets.
    each : list
        The single targets.

    Raises
    ------
    InputError
        If `target` is none of these.
    """

    def __init__(self, target: Target, rows: int) -> None:
        self.several = isinstance(target, list)
        self.each = [_normalized(one, rows) for one in (target if isinstance(target, list) else [target])]
        if not self.each:
            raise InputError("target is an empty list: expected at least one target.")

    def read(self, output: Any, rows: Tensor) -> Tensor:
        """Return the numbers to explain.

        Parameters
        ----------
        output : anything
            What the model returned.
        rows : torch.Tensor, int64
            For each row of it, the index of the sequence that it belongs to, itself or as a reference.

        Returns
        -------
        torch.Tensor, shape (rows, targets)

        Raises
        ------
        InputError, UnsupportedOperation
            If the output does not have the target.
        """
        return torch.stack([_read(one, output, rows) for one in self.each], dim=1)


def sequence_of_rows(first: int, last: int, n: int) -> Tensor:
    """Return the sequence of each row, where each of ``first <= i < last`` has `n`; int64, shape (rows,).

    Examples
    --------
    >>> sequence_of_rows(3, 5, 2)
    tensor([3, 4, 3, 4])
    """
    # Tensor.repeat would take several times as long.
    return torch.arange(first, last, device="cpu").expand(n, -1).reshape(-1)


def _normalized(target: SingleTarget, rows: int) -> SingleTarget:
    """Return a target as int, tuple of int, torch.Tensor, callable or Contrast; InputError if it is none of them."""
    if isinstance(target, Contrast):
        return Contrast(_normalized(target.a, rows), _normalized(target.b, rows))
    index = _index(target)
    if index is not None:
        return index
    if isinstance(target, Tensor | np.ndarray):
        return _per_sequence(target, rows)
    if isinstance(target, tuple):
        indices = [_index(one) for one in target]
        found = tuple(one for one in indices if one is not None)
        if len(found) == len(indices):
            return found
    if callable(target):
        return target
    raise InputError(
        f"target is {target!r}: expected a number, a tuple of numbers, a tensor with a number for each sequence, "
        "a Contrast, a function of the output, or a list of these."
    )


def _index(one: Any) -> int | None:
    """Return an integer of any library as an int, and None for anything else."""
    # To PyTorch a tensor of shape (1,) is an index; here it is the target of a single sequence.
    if isinstance(one, bool) or getattr(one, "ndim", None) or getattr(one, "dtype", None) == torch.bool:
        return None
    try:
        return operator.index(one)
    except TypeError:
        return None


def _per_sequence(target: Tensor | NDArray[Any], rows: int) -> Tensor:
    """Return a target for each sequence as a tensor of integers."""
    if isinstance(target, Tensor):
        require_dense(target, "target")
        whole = not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)
    else:
        whole = target.dtype.kind in "iu"
    if not whole or target.ndim not in (1, 2) or len(target) != rows or 0 in target.shape:
        kind = "a tensor" if isinstance(target, Tensor) else "an array"
        raise InputError(
            f"target is {kind} of shape {tuple(target.shape)} and {target.dtype}: expected integers of shape "
            f"({rows},), one target for each sequence, or ({rows}, indices); for several targets use a list."
        )
    # On the CPU, where they are checked; a copy, because PyTorch supports neither all integers of NumPy nor all of its
    # strides.
    return target.cpu() if isinstance(target, Tensor) else torch.from_numpy(target.astype(np.int64))


def _read(target: SingleTarget, output: Any, rows: Tensor) -> Tensor:
    """Return one number for each row, shape (rows,)."""
    if isinstance(target, Contrast):
        return _read(target.a, output, rows) - _read(target.b, output, rows)
    if callable(target):
        return _require_numbers(target(output), len(rows))
    y = _require_one_tensor(output)
    if isinstance(target, tuple):
        return _entry_at(y, tuple(map(int, target)), len(rows))
    if isinstance(target, Tensor) and target.ndim == 2:
        return _entries_at(y, target[rows].to(torch.int64))
    y = _as_table(y, len(rows))
    if isinstance(target, Tensor):
        return _entries_at(y, target[rows].to(torch.int64).unsqueeze(1))
    column = int(target)
    with torch._C.DisableTorchFunction():
        _require_within(column, y.shape[1])
    return y[:, column]


def _as_table(y: Tensor, rows: int) -> Tensor:
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
        raise InputError(
            f"the model turned {rows} rows into an output of shape {tuple(y.shape)}: expected (rows, targets); "
            "pass as target a tuple of indices, which selects one number, or a function that reduces the output to "
            "one number for each row, for instance lambda y: y.sum(dim=(1, 2))."
        )
    return found


def _entry_at(y: Tensor, index: tuple[int, ...], rows: int) -> Tensor:
    """Return the number at the same place of each row."""
    if y.ndim != len(index) + 1 or len(y) != rows:
        raise InputError(
            f"target is {index} and the model turned {rows} rows into an output of shape {tuple(y.shape)}: "
            "expected one index for each dimension except the first."
        )
    for i, size in zip(index, y.shape[1:], strict=True):
        _require_within(i, size)
    place: tuple[Any, ...] = (slice(None), *index)
    found: Tensor = y[place]
    return found


def _entries_at(y: Tensor, index: Tensor) -> Tensor:
    """Return the number of each row at the place in its row of `index`, (rows, dimensions), which is on the CPU."""
    if y.ndim != index.shape[1] + 1 or len(y) != len(index):
        raise InputError(
            f"target has {index.shape[1]} indices for each sequence and the model turned {len(index)} rows into an "
            f"output of shape {tuple(y.shape)}: expected one index for each dimension except the first."
        )
    for one, size in zip(index.unbind(1), y.shape[1:], strict=True):
        _require_within(int(one.min()), size)
        _require_within(int(one.max()), size)
    return y[(torch.arange(len(y), device=y.device), *to_device(index, y.device).unbind(1))]


def _require_within(target: int, size: int) -> None:
    if not -size <= target < size:
        outputs = f"{size} outputs: expected 0 to {size - 1}"
        if size < 2:
            outputs = "1 output: expected 0, its only output" if size else "no output: expected at least one"
        raise InputError(f"target is {target!r} and the model has {outputs}.")


def _require_numbers(found: object, rows: int) -> Tensor:
    if not isinstance(found, Tensor) or require_dense(found, "the result of the target function").shape not in (
        (rows,),
        (rows, 1),
    ):
        shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else kind_of(found)
        raise InputError(
            f"the target function returned {shape} for the output of {rows} rows: expected shape ({rows},)."
        )
    return found.reshape(rows)


def _require_one_tensor(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        with torch._C.DisableTorchFunction():
            return require_dense(output, "the model's output")
    found, example = kind_of(output), ""
    if isinstance(output, Mapping) and output:
        found, example = f"{found} of {', '.join(map(repr, output))}", 'y["key"][:, 0]'
    elif isinstance(output, tuple | list):
        example = "y[0][:, 0]"
    elif hasattr(output, "__dict__"):
        example = "y.name[:, 0]"
    remedy = "return one tensor from its forward"
    if example:
        remedy = (
            "pass as target a function that takes what the model returns and returns one number for each row, "
            f"for instance lambda y: {example}"
        )
    raise UnsupportedOperation(f"the model returns {found}: expected one tensor; {remedy}.")
