"""What a tensor of one-hot sequences must be, and what to say when it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.sequence import loops

MOST_LETTERS = 254


def require_tensor(X: object, name: str = "X") -> Tensor:
    """Return `X` if it is a torch.Tensor; raise InputError with the remedy if not."""
    if isinstance(X, Tensor):
        return X
    kind = f"{type(X).__module__}.{type(X).__qualname__}".removeprefix("builtins.")
    remedy = "convert it first"
    if isinstance(X, np.ndarray):
        remedy = f"use torch.from_numpy({name})"
    elif isinstance(X, str):
        remedy = f"use one_hot_encode({name})"
    raise InputError(f"{name} is a {kind}: expected a torch.Tensor; {remedy}.")


def require_one_hot(X: object, name: str = "X", *, allow_unknown: bool = True) -> Tensor:
    """Return `X` if it holds one-hot sequences.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions), any dtype and device
        In each column a single 1, or only zeros for an unknown character.
    name : str
        What to call it in an error.
    allow_unknown : bool
        Whether a column may be all zeros.

    Raises
    ------
    InputError
        If it is no tensor, of another rank, empty, of too many letters, or not one-hot.
    """
    X = require_rank_3(X, name)
    if X.is_meta or X.layout != torch.strided:
        met = "on the meta device" if X.is_meta else f"of layout {X.layout}"
        raise InputError(f"{name} is {met}: expected a dense tensor that holds its data; make one first.")
    codes = loops.read_codes(X)
    if codes is not None and (allow_unknown or not (codes == X.shape[1]).any()):
        return X
    ones = (X != 0).sum(dim=1)
    # A column with one entry that is not 0, and whose sum is 1, holds a 1; NaN fails the second test.
    good = ((ones == 1) & (X.sum(dim=1) == 1)) | ((ones == 0) & allow_unknown)
    if not bool(good.all()):
        raise _not_one_hot(X, good, name)
    return X


def require_rank_3(X: object, name: str = "X") -> Tensor:
    """Return `X` if it is a tensor of shape (sequences, letters, positions), none of them 0, and few letters."""
    X = require_tensor(X, name)
    if X.ndim != 3:
        remedy = f"use {name}.unsqueeze(0) for one sequence" if X.ndim == 2 else "reshape it"
        raise InputError(
            f"{name} has shape {tuple(X.shape)}: expected three dimensions (sequences, letters, positions); {remedy}."
        )
    if 0 in X.shape:
        raise InputError(f"{name} is empty, of shape {tuple(X.shape)}: expected at least one sequence and position.")
    if X.shape[1] > MOST_LETTERS:
        raise InputError(
            f"{name} has {X.shape[1]} letters, shape {tuple(X.shape)}: expected at most {MOST_LETTERS}; "
            f"if it is (sequences, positions, letters), pass {name}.transpose(1, 2)."
        )
    return X


def to_codes(X: Tensor) -> NDArray[np.uint8]:
    """Return the letter of each column as an integer.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, already checked.

    Returns
    -------
    numpy.ndarray, uint8, shape (sequences, positions)
        0 .. letters - 1, and ``letters`` for an unknown character.
    """
    read = loops.read_codes(X)
    if read is not None:
        return read
    letters = X.shape[1]
    codes = torch.full((X.shape[0], X.shape[2]), letters, dtype=torch.uint8)
    for letter in range(letters):
        codes.masked_fill_((X[:, letter] != 0).cpu(), letter)
    return codes.numpy()


def require_count(value: Any, name: str, least: int = 0) -> int:
    """Return `value` as an int of at least `least`; raise InputError if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"{name} is {value!r}: expected a whole number.")
    if value < least:
        raise InputError(f"{name} is {value}: expected {least} or more.")
    return int(value)


def require_region(start: Any, end: Any, length: int) -> tuple[int, int]:
    """Return the region ``start <= position < end``; raise InputError if it is empty or off either end."""
    start, end = require_count(start, "start"), require_count(end, "end")
    if end > length:
        raise InputError(f"end is {end}, off the end of sequences of {length} positions: expected at most {length}.")
    if start >= end:
        raise InputError(f"the region from {start} to {end} is empty: expected start < end.")
    return start, end


def _not_one_hot(X: Tensor, good: Tensor, name: str) -> InputError:
    sequence, position = (int(i) for i in torch.nonzero(~good)[0])
    column = X[sequence, :, position].tolist()
    where = f"sequence {sequence}, position {position} of {name} holds {column}"
    if not any(column):
        return InputError(
            f"{where}, an unknown character: expected a known one here; "
            "replace it, or allow it where there is an `allow_N`."
        )
    remedy = "convert it first"
    if X.shape[2] < X.shape[1]:
        remedy = f"if it is (sequences, positions, letters), pass {name}.transpose(1, 2)"
    return InputError(f"{where}: expected a single 1 and zeros, one-hot (sequences, letters, positions); {remedy}.")
