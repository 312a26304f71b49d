"""Targets: the numbers of a model's output that are explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlight.errors import InputError
from seqlight.prediction.ensemble import Ensemble, copy_inputs
from seqlight.sequence.checks import require_dense
from seqlight.targets.contrast import Contrast, SingleTarget, Target
from seqlight.targets.output_entries import (
    as_index,
    as_table,
    column_of,
    entries_at,
    entry_at,
    require_numbers,
    require_one_tensor,
)
from seqlight.targets.registry import read_text


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
    index = as_index(target)
    if index is not None:
        return index
    if isinstance(target, Tensor | np.ndarray):
        return _per_sequence(target, rows)
    if isinstance(target, tuple):
        indices = [as_index(one) for one in target]
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
    if isinstance(target, Tensor):
        return entries_at(as_table(y, len(rows)), target[rows].to(torch.int64).unsqueeze(1))
    return column_of(y, int(target), len(rows))
