"""Which number of a model's output is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from seqlight.errors import InputError, UnsupportedOperation


@dataclass(frozen=True, eq=False)
class Contrast:
    """The difference of two targets, to explain what sets them apart.

    Parameters
    ----------
    a, b : int, tuple of int, torch.Tensor or callable
        Single targets, as in :func:`seqlight.attribute`; `a` minus `b` is explained.

    Examples
    --------
    >>> import seqlight as sl
    >>> sl.Contrast(0, 1)
    Contrast(a=0, b=1)
    """

    a: One
    b: One


One: TypeAlias = int | tuple[int, ...] | Tensor | Callable[[Any], Tensor] | Contrast
Target: TypeAlias = One | list[One]


class Targets:
    """What is read from the output of a model, a number for each row and target.

    Parameters
    ----------
    target : int, tuple of int, torch.Tensor, callable, Contrast, or list of these
        As in :func:`seqlight.attribute`.
    rows : int
        How many sequences there are.

    Raises
    ------
    InputError
        If it is none of these.
    """

    def __init__(self, target: Target, rows: int) -> None:
        self.several = isinstance(target, list)
        self.each: list[One] = list(target) if isinstance(target, list) else [target]
        if not self.each:
            raise InputError("target is an empty list: expected at least one target.")
        for one in self.each:
            _require_target(one, rows)

    def read(self, output: Any, rows: Tensor) -> Tensor:
        """Return the numbers to explain.

        Parameters
        ----------
        output : anything
            What the model returned.
        rows : torch.Tensor, int64
            Which sequence each row of it is, or is a reference of.

        Returns
        -------
        torch.Tensor, shape (rows, targets)

        Raises
        ------
        InputError, UnsupportedOperation
            If the output does not have what is asked for.
        """
        return torch.stack([_read(one, output, rows) for one in self.each], dim=1)


def _require_target(target: object, rows: int) -> None:
    if isinstance(target, Contrast):
        _require_target(target.a, rows)
        _require_target(target.b, rows)
    elif isinstance(target, Tensor):
        whole = not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)
        if not whole or target.ndim not in (1, 2) or len(target) != rows or not target.numel():
            raise InputError(
                f"target is a tensor of shape {tuple(target.shape)} and {target.dtype}: expected integers of shape "
                f"({rows},), the target of each sequence, or ({rows}, indices); for several targets use a list."
            )
    elif not (_is_index(target) or (isinstance(target, tuple) and _are_indices(target)) or callable(target)):
        raise InputError(
            f"target is {target!r}: expected a number, a tuple of numbers, a tensor with a number for each sequence, "
            "a Contrast, a function of the output, or a list of these."
        )


def _is_index(one: object) -> bool:
    return isinstance(one, int) and not isinstance(one, bool)


def _are_indices(many: Iterable[object]) -> bool:
    return all(_is_index(one) for one in many)


def _read(target: One, output: Any, rows: Tensor) -> Tensor:
    if isinstance(target, Contrast):
        return _read(target.a, output, rows) - _read(target.b, output, rows)
    if not isinstance(target, int | tuple | Tensor):
        return _require_numbers(target(output), len(rows))
    y = _require_one_tensor(output)
    if isinstance(target, tuple):
        return _at(y, target, len(rows))
    if isinstance(target, Tensor) and target.ndim == 2:
        return _places(y, target[rows].to(y.device, torch.int64))
    y = _table(y, len(rows))
    if isinstance(target, Tensor):
        return _places(y, target[rows].to(y.device, torch.int64).unsqueeze(1))
    _require_within(target, y.shape[1])
    return y[:, target]


def _table(y: Tensor, rows: int) -> Tensor:
    """Return an output as (rows, targets)."""
    found = y.flatten(2).squeeze(2) if y.ndim > 2 and y.shape[2:].numel() == 1 else y
    if found.ndim == 1 and len(found) == rows:
        found = found.unsqueeze(1)
    if found.ndim != 2 or len(found) != rows:
        raise InputError(
            f"the model turned {rows} rows into an output of shape {tuple(y.shape)}: expected (rows, targets); "
            "pass as target a tuple of indices of one number, or a function that reduces the output to one "
            "number for each row, for instance lambda y: y.sum(dim=(1, 2))."
        )
    return found


def _at(y: Tensor, index: tuple[int, ...], rows: int) -> Tensor:
    if y.ndim != len(index) + 1 or len(y) != rows:
        raise InputError(
            f"target is {index} and the model turned {rows} rows into an output of shape {tuple(y.shape)}: "
            "expected an index for each dimension but the first."
        )
    for i, size in zip(index, y.shape[1:], strict=True):
        _require_within(i, size)
    place: tuple[Any, ...] = (slice(None), *index)
    found: Tensor = y[place]
    return found


def _places(y: Tensor, index: Tensor) -> Tensor:
    """Return one number of each row, at the place that `index`, shape (rows, dimensions), tells."""
    if y.ndim != index.shape[1] + 1 or len(y) != len(index):
        raise InputError(
            f"target has {index.shape[1]} indices for each sequence and the model turned {len(index)} rows into an "
            f"output of shape {tuple(y.shape)}: expected an index for each dimension but the first."
        )
    for one, size in zip(index.unbind(1), y.shape[1:], strict=True):
        _require_within(int(one.min()), size)
        _require_within(int(one.max()), size)
    return y[(torch.arange(len(y), device=y.device), *index.unbind(1))]


def _require_within(target: int, size: int) -> None:
    if not -size <= target < size:
        raise InputError(f"target is {target!r} and the model has {size} outputs: expected 0 to {size - 1}.")


def _require_numbers(found: object, rows: int) -> Tensor:
    shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
    if not isinstance(found, Tensor) or found.shape not in ((rows,), (rows, 1)):
        raise InputError(f"the target function made {shape} of the output of {rows} rows: expected shape ({rows},).")
    return found.reshape(rows)


def _require_one_tensor(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise UnsupportedOperation(
            f"the model returns a {type(output).__name__}: expected one tensor; pass as target a function that takes "
            "what the model returns and gives one number for each row, for instance lambda y: y[0][:, 3]."
        )
    return output
