"""Checks of one-hot sequences and of other arguments, with errors that say what to do instead."""

from __future__ import annotations

from collections.abc import Iterable
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seqlight.errors import InputError, kind_of
from seqlight.sequence import native_loops

MOST_LETTERS = 254

# Dtypes that PyTorch can store but has few operations for.
POORLY_SUPPORTED = (torch.uint16, torch.uint32, torch.uint64)

# How many entries of a column an error shows.
MOST_SHOWN = 6


def require_tensor(X: object, name: str = "X") -> Tensor:
    """Return `X` if it is a dense torch.Tensor of real numbers; raise InputError with the remedy if not."""
    if isinstance(X, Tensor):
        return require_dense(X, name)
    found, remedy = describe_other(X, name)
    raise InputError(f"{name} is {found}: expected a torch.Tensor; {remedy}.")


def describe_other(X: object, name: str) -> tuple[str, str]:
    """Return what something that is no tensor is, and how a tensor is made of it."""
    found = kind_of(X)
    if isinstance(X, np.ndarray):
        if X.dtype.kind in "USO":
            return f"a numpy.ndarray of {X.dtype}", f"use one_hot_encode({name}.tolist()) if it holds strings"
        return "a numpy.ndarray", f"use torch.from_numpy({name})"
    if isinstance(X, Dataset):
        rows = f"take some of its rows, {name}[:100]" if hasattr(X, "batch") else "stack some of its rows"
        return found, f"{rows}, or use seqlight.run, which reads them in batches"
    if isinstance(X, Path) or (isinstance(X, str) and isfile(X)):
        return found, "read the file first, such as seqlight.FastaDataset(path)[:]"
    if isinstance(X, str):
        return found, f"use one_hot_encode({name})"
    if hasattr(X, "columns"):
        return found, f"encode its column of sequences, such as one_hot_encode({name}['sequence'])"
    if holds_attributions(X):
        return found, f"use one of its tensors, such as {name}.attributions"
    # Other things may be read from a disk, or never end.
    listed = isinstance(X, Iterable) and (isinstance(X, list | tuple) or hasattr(X, "tolist"))
    members: list[Any] = list(X) if isinstance(X, Iterable) and listed else []
    if members and all(isinstance(one, str) for one in members):
        return f"{found} of strings", f"use one_hot_encode({name})"
    if members and all(isinstance(one, Tensor) for one in members):
        return f"{found} of tensors", f"use torch.{'cat' if members[0].ndim > 2 else 'stack'}({name})"
    return found, "convert it first"


def holds_attributions(given: object) -> bool:
    """Return whether something is an explanation, which holds attributions beside other tensors, and no tensor."""
    return isinstance(getattr(given, "attributions", None), Tensor)


def require_dense(X: Tensor, name: str = "X") -> Tensor:
    """Return `X` if it is dense and holds real numbers; raise InputError with the remedy if not."""
    if X.is_nested:
        problem, remedy = "is nested", "pad its rows with torch.nested.to_padded_tensor"
    elif X.is_meta:
        problem, remedy = "is on the meta device", "make one on a device that does"
    elif X.is_quantized:
        problem, remedy = f"is quantised, {_short_dtype(X)}", "use its .dequantize()"
    elif X.layout != torch.strided:
        problem, remedy = f"is of layout {X.layout}", "use its .to_dense()"
    elif X.is_complex():
        problem, remedy = f"holds {_short_dtype(X)} numbers", "use its .real or .abs()"
    elif X.dtype in POORLY_SUPPORTED or (X.is_floating_point() and X.itemsize == 1):
        problem, remedy = f"is of {_short_dtype(X)}, in which PyTorch computes little", "use its .long() or .float()"
    else:
        return X
    raise InputError(f"{name} {problem}: expected a dense tensor that holds its data, real numbers; {remedy}.")


def require_one_hot(X: object, name: str = "X", *, allow_unknown: bool = True) -> Tensor:
    """Return `X` if it holds one-hot sequences.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions), any dtype and device
        Each column holds a single 1, or only zeros for an unknown character.
    name : str
        Its name in error messages.
    allow_unknown : bool
        Whether a column may be all zeros.

    Raises
    ------
    InputError
        If it is not a tensor, has another number of dimensions, is empty, has too many letters, or is not one-hot.
    """
    X = require_rank_3(X, name)
    codes = native_loops.read_codes(X)
    if codes is not None and (allow_unknown or not (codes == X.shape[1]).any()):
        return X
    ones = (X != 0).sum(dim=1)
    # A column with a single nonzero entry and a sum of 1 holds a 1; NaN fails the second test.
    valid = ((ones == 1) & (X.sum(dim=1) == 1)) | ((ones == 0) & allow_unknown)
    if not bool(valid.all()):
        raise _not_one_hot(X, valid, name)
    return X


def require_rank_3(X: object, name: str = "X") -> Tensor:
    """Return `X` if it is a nonempty tensor of shape (sequences, letters, positions) with at most 254 letters."""
    X = require_tensor(X, name)
    if X.ndim != 3:
        remedy = f"use {name}.unsqueeze(0) for one sequence" if X.ndim == 2 else "reshape it"
        if _looks_like_codes(X):
            remedy = (
                "it holds integers for letters, so one-hot encode it first, with as many letters as there are: "
                f"torch.nn.functional.one_hot({name}.long(), letters).transpose(1, 2)"
            )
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


def as_tensor(given: Any, name: str) -> Tensor:
    """Return array-like numbers as a tensor; raise InputError if they cannot be one."""
    if isinstance(given, Tensor):
        # NumPy cannot read a tensor that PyTorch negates lazily.
        return require_dense(given, name).resolve_neg()
    if holds_attributions(given):
        raise InputError(f"{name} is {kind_of(given)}: expected one of its tensors, such as {name}.hypothetical.")
    try:
        if hasattr(given, "__array__") and not isinstance(given, np.ndarray | np.generic):
            given = np.array(given)  # such as a column of results, which PyTorch would read row by row
        return torch.as_tensor(given, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is {kind_of(given)}: expected a tensor or an array of numbers ({error}).") from None


def as_float64(given: Any, name: str) -> NDArray[np.float64]:
    """Return a tensor, or anything array-like, as a float64 array on the CPU, without gradients."""
    if isinstance(given, Tensor):
        given = require_dense(given, name).detach().to("cpu", torch.float64).resolve_neg().numpy()
    return np.asarray(given, dtype=np.float64)


def to_codes(X: Tensor) -> NDArray[np.uint8]:
    """Return the letter of each column as an integer.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        Valid one-hot sequences.

    Returns
    -------
    numpy.ndarray, uint8, shape (sequences, positions)
        0 .. letters - 1, and ``letters`` for an unknown character.
    """
    read = native_loops.read_codes(X)
    if read is not None:
        return read
    letters = X.shape[1]
    codes = torch.full((X.shape[0], X.shape[2]), letters, dtype=torch.uint8, device="cpu")
    for letter in range(letters):
        codes.masked_fill_((X[:, letter] != 0).cpu(), letter)
    return codes.numpy()


def require_count(value: Any, name: str, least: int = 0) -> int:
    """Return `value` as an int of at least `least`; raise InputError if it is not a whole number of that size."""
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


def _looks_like_codes(X: Tensor) -> bool:
    """Return whether `X` seems to hold letters as integers, (sequences, positions), rather than one-hot columns."""
    if X.ndim != 2 or not X.numel() or X.is_floating_point() or X.dtype == torch.bool:
        return False
    return bool((X > 1).any())


def _short_dtype(X: Tensor) -> str:
    return str(X.dtype).removeprefix("torch.")


def _not_one_hot(X: Tensor, valid: Tensor, name: str) -> InputError:
    sequence, position = (int(i) for i in torch.nonzero(~valid)[0])
    column = X[sequence, :, position].tolist()
    where = f"sequence {sequence}, position {position} of {name} holds"
    if any(one != one for one in column):
        return InputError(f"{where} NaN: expected a single 1 and zeros; look where it comes from.")
    shown = [_format_entry(one) for one in column[:MOST_SHOWN]] + ["..."] * (len(column) > MOST_SHOWN)
    where = f"{where} [{', '.join(shown)}]"
    if not any(column):
        return InputError(
            f"{where}, an unknown character: expected a known one here; "
            "replace it, or allow it where there is an `allow_N`."
        )
    remedy = "convert it first"
    if X.shape[2] < X.shape[1]:
        remedy = f"if it is (sequences, positions, letters), pass {name}.transpose(1, 2)"
    elif any(one not in (0, 1) for one in column):
        remedy = "soft inputs are refused here, but sl.DeepLift and sl.DeepLiftShap take any numbers"
    return InputError(f"{where}: expected a single 1 and zeros, one-hot (sequences, letters, positions); {remedy}.")


def _format_entry(value: Any) -> str:
    """Return a number with few digits, but never as 0 or 1 unless it is exactly that."""
    found = f"{value:.4g}"
    return repr(value) if found in ("0", "1") and value not in (0, 1) else found
