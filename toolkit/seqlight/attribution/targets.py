"""Targets: the numbers of a model's output that are explained."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlight.attribution.output_entries import (
    as_table,
    entries_at,
    entry_at,
    require_numbers,
    require_one_tensor,
    require_within,
)
from seqlight.errors import InputError
from seqlight.prediction.ensemble import Ensemble, copy_inputs
from seqlight.sequence.checks import require_dense


@dataclass(frozen=True, eq=False)
class Contrast:
    """The difference of two targets, to explain what distinguishes them.

    Parameters
    ----------
    a, b : int, tuple of int, torch.Tensor, numpy.ndarray, callable or str
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
# Contrast first and Callable before Tensor: a parser of YAML takes what returns a tensor for a factory of it.
SingleTarget: TypeAlias = (
    Contrast | Index | tuple[Index, ...] | Callable[[Any], Tensor] | Tensor | NDArray[np.integer[Any]] | str
)
Target: TypeAlias = SingleTarget | list[SingleTarget]


class Targets:
    """Reads the numbers to explain from a model's output: one for each row and target.

    Parameters
    ----------
    target : int, tuple of int, torch.Tensor, numpy.ndarray, callable, Contrast, str, or list of these
        As in :func:`seqlight.attribute`. An array is treated as a tensor, and one without dimensions as an int.
    rows : int
        How many sequences there are.

    Attributes
    ----------
    several : bool
        Whether `target` is a list, so that results have a dimension of targets.
    each : list
        The single targets.
    holds : bool
        Whether a target holds something constant: references then get what their sequence has, in DeepLIFT alone.

    Raises
    ------
    InputError
        If `target` is none of these.
    """

    def __init__(self, target: Target, rows: int) -> None:
        target = read_text(target)
        self.several = isinstance(target, list)
        self.each = [_normalized(one, rows) for one in (target if isinstance(target, list) else [target])]
        if not self.each:
            raise InputError("target is an empty list: expected at least one target.")
        self.holds = any(map(_holds, self.each))

    def without_constants(self, method: str) -> Targets:
        """Return itself; InputError if a target holds something constant, which `method` cannot."""
        if self.holds:
            raise InputError(
                f"target holds its weights constant, and {method} evaluates other sequences, whose weights differ: "
                "expected a target that is a function of the output, such as Profile(weights='explained')."
            )
        return self

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

    def read_model(
        self, model: nn.Module, inputs: Sequence[Any], rows: Tensor, func: Callable[[Any], Any] | None = None
    ) -> Tensor:
        """Call a model, and return the numbers to explain; of an ensemble the mean over its members, as in DeepLIFT.

        Parameters
        ----------
        model : torch.nn.Module
            Called as ``model(*inputs)``.
        inputs, rows
            Its inputs, and what :meth:`read` takes.
        func : callable, optional
            Applied to the output first.
        """
        if not isinstance(model, Ensemble):
            output = model(*inputs)
            return self.read(output if func is None else func(output), rows)
        each = [self.read_model(one, copy_inputs(*inputs), rows, func) for one in model.members()]
        return torch.stack(each).mean(dim=0)


def read_entry(index: Index | tuple[Index, ...], y: Tensor) -> Tensor:
    """Return the number at a column, or at a place in an output of more dimensions, of each row; shape (rows,).

    Raises
    ------
    InputError
        If the output has no such place.

    Examples
    --------
    >>> read_entry((1, 0), torch.arange(8).view(2, 2, 2))
    tensor([2, 6])
    """
    with torch._C.DisableTorchFunction():
        rows = len(y) if y.ndim else 1
    target = _normalized(index, rows)
    return _read(target, y, torch.empty(rows, device="cpu"))


def read_text(target: Target) -> Target:
    """Return the target that a text stands for, as :func:`seqlight.targets.parse` does, and any other unchanged.

    Raises
    ------
    InputError
        If a text stands for none.

    Examples
    --------
    >>> str(read_text("Counts(head=1)")), read_text(3)
    ('counts(head=1)', 3)
    """
    if not isinstance(target, str):
        return target
    # By its name: the room of named targets lies above this one, and other packages name theirs there, too.
    found: Target = import_module("seqlight.targets.registry").parse(target)
    return found


def sequence_of_rows(first: int, last: int, n: int) -> Tensor:
    """Return the sequence of each row, where each of ``first <= i < last`` has `n`; int64, shape (rows,).

    Examples
    --------
    >>> sequence_of_rows(3, 5, 2)
    tensor([3, 4, 3, 4])
    """
    if last - first == 1:
        return torch.full((n,), first, dtype=torch.int64, device="cpu")
    # Tensor.repeat would take several times as long.
    return torch.arange(first, last, device="cpu").expand(n, -1).reshape(-1)


def _holds(target: SingleTarget) -> bool:
    if isinstance(target, Contrast):
        return _holds(target.a) or _holds(target.b)
    return bool(getattr(target, "holds", False)) if callable(target) else False


def _normalized(target: SingleTarget, rows: int) -> SingleTarget:
    """Return a target as int, tuple of int, torch.Tensor, callable or Contrast; InputError if it is none of them."""
    if isinstance(target, str):
        target = read_text(target)  # type: ignore[assignment]  # a list is refused below
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
    if isinstance(target, type):
        raise InputError(f"target is the class {target.__name__}: expected one of its objects, {target.__name__}(...).")
    if callable(target):
        return target
    raise InputError(
        f"target is {target!r}: expected a number, a tuple of numbers, a tensor with a number for each sequence, "
        "a Contrast, a function of the output, or a list of these."
    )


def _index(one: Any) -> int | None:
    """Return an integer of any library as an int, and None for anything else."""
    # To PyTorch a tensor of shape (1,) is an index; here it is the target of a single sequence.
    # Earlier releases of NumPy take their booleans for indices.
    if isinstance(one, bool | np.bool_) or getattr(one, "ndim", None) or getattr(one, "dtype", None) == torch.bool:
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
        return require_numbers(target(output), len(rows))
    y = require_one_tensor(output)
    if isinstance(target, tuple):
        return entry_at(y, tuple(map(int, target)), len(rows))
    if isinstance(target, Tensor) and target.ndim == 2:
        return entries_at(y, target[rows].to(torch.int64))
    y = as_table(y, len(rows))
    if isinstance(target, Tensor):
        return entries_at(y, target[rows].to(torch.int64).unsqueeze(1))
    column = int(target)
    with torch._C.DisableTorchFunction():
        require_within(column, y.shape[1])
    return y[:, column]
