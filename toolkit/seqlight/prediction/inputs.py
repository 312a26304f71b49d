"""What goes into a model: in which dtype and on which device, by one rule for X and for the further inputs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cache
from typing import Any, TypeGuard

import torch
from torch import Tensor

from seqlight.errors import InputError, SeqlightError
from seqlight.sequence import kernels
from seqlight.sequence.checks import MOST_LETTERS

# So many numbers are looked at together, so that looking takes little memory.
AT_ONCE = 2**24
# What PyTorch says where an operation does not take numbers of a kind; it has no class of error for that.
DTYPE_ERROR = re.compile(
    r"dtype|datatype|scalar type|not implemented for '|type \(.*should be the same|floating.point"
    r"|desired output type|on a bool tensor|of type LongTensor"
)

# What it says where a table of embeddings, say, or one of bags of them, has no such row.
EMBEDDING_ERROR = re.compile(
    r"index out of range in self|Index \d+ of input takes value -?\d+ which is not in the valid range"
)


class InputConversion:
    """In which dtype each input of a call reaches its model, decided once for all batches.

    Floating-point numbers take the dtype of the model, and so do integers and booleans that are one-hot. Other
    integers are ids, counts or masks, and stay what they are.

    Parameters
    ----------
    inputs : sequence of torch.Tensor or None
        All rows of each input, X first; None for one whose rows come a batch at a time. Of that the first batch
        decides, and the others must be like it.
    explained : int
        How many inputs stand before these that are explained, or one-hot as is known: they become numbers.
    """

    def __init__(self, inputs: Sequence[Any], explained: int = 0) -> None:
        known = [holds_one_hot(one) if isinstance(one, Tensor) else None for one in inputs]
        self._one_hot: list[bool | None] = [*[True] * explained, *known]
        self._later = [*[False] * explained, *(one is None for one in inputs)]
        self._names = [*["X"] * explained, *(_name(i + bool(explained)) for i in range(len(inputs)))]

    def apply(self, inputs: Sequence[Any], dtype: torch.dtype, device: torch.device) -> list[Any]:
        """Return a batch as the model takes it; what is no tensor, as it is.

        Parameters
        ----------
        inputs : sequence
            Some rows of each.
        dtype : torch.dtype
            In which the model computes.
        device : torch.device
            Where it does.

        Raises
        ------
        InputError
            If `dtype` cannot hold the numbers, or a batch is of another kind than the first.
        """
        return [self._sent(i, one, dtype, device) if isinstance(one, Tensor) else one for i, one in enumerate(inputs)]

    def for_batch(self, inputs: Sequence[Any]) -> InputConversion:
        """Return the conversion of a batch that is sent in parts: what is decided of it holds for all of them."""
        found = copy(self)
        found._one_hot = [
            None if not isinstance(one, Tensor) else one.is_floating_point() or self._becomes_a_number(i, one)
            for i, one in enumerate(inputs)
        ]
        found._later = [False] * len(inputs)
        return found

    def _sent(self, i: int, one: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
        if one.is_floating_point() or self._becomes_a_number(i, one):
            return convert(one, dtype, device, self._names[i])
        return to_device(one, device)

    def _becomes_a_number(self, i: int, one: Tensor) -> bool:
        decided = self._one_hot[i]
        if not self._later[i] or decided is False:
            return bool(decided)
        if decided is None:
            decided = self._one_hot[i] = holds_one_hot(one)
        elif not holds_one_hot(one):
            raise InputError(
                f"a batch of {self._names[i]} holds integers that are not one-hot, and the first one was one-hot: "
                "expected one kind; convert them all, with .float() if they are numbers and .long() if they are ids."
            )
        return decided


def to_device(one: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on `device`.

    Towards the CPU it is waited for: what another device still has to send must not be read before it is there.
    """
    return one.to(device, non_blocking=device.type != "cpu")


def convert(one: Tensor, dtype: torch.dtype, device: torch.device, name: str = "X") -> Tensor:
    """Return a tensor on `device` and in a floating-point `dtype`; InputError if that cannot hold its numbers."""
    if one.dtype.itemsize > dtype.itemsize:
        return to_device(cast(one, dtype, name), device)
    # Small integers travel to the device as they are and become numbers there.
    return cast(to_device(one, device), dtype, name)


def cast(one: Tensor, dtype: torch.dtype, name: str = "X") -> Tensor:
    """Return a tensor in a floating-point `dtype`.

    Raises
    ------
    InputError
        If a number is beyond what `dtype` has, or all are whole numbers, as ids and counts are, and one of them would
        become another.

    Examples
    --------
    >>> cast(torch.tensor([0.1, 2.5]), torch.bfloat16)
    tensor([0.1001, 2.5000], dtype=torch.bfloat16)
    >>> cast(torch.tensor([256.0, 257.0]), torch.bfloat16)
    Traceback (most recent call last):
    seqlight.errors.InputError: X holds 257, which bfloat16 cannot hold: ...
    """
    found = one.to(dtype)
    if not _may_lose(one.dtype, dtype):
        return found
    back = found.to(one.dtype)
    lost = back != one
    if one.is_floating_point():
        beyond = back.isinf() & one.isfinite()
        lost = beyond if beyond.any() or not _whole(one) else lost & one.isfinite()
    if lost.any():
        value = one[lost][0].item()
        short = str(dtype).removeprefix("torch.")
        raise InputError(
            f"{name} holds {value:.10g}, which {short} cannot hold: expected numbers of the dtype that the model "
            f"computes in; pass dtype='float32' or 'float64', or {name}.to(torch.{short}) if rounding is meant."
        )
    return found


def holds_one_hot(one: Tensor) -> bool:
    """Return whether a tensor holds one-hot sequences in integers or booleans.

    That is, it has zeros and ones alone, three dimensions or more, and along one of them but the first, of at least two
    letters, nowhere more than a single 1. Zeros alone are unknown characters; booleans, which are masks else, have a 1
    half of the places.

    Examples
    --------
    >>> import seqlight as sl
    >>> X = sl.random_one_hot((2, 4, 10))
    >>> holds_one_hot(X), holds_one_hot(X.mT), holds_one_hot(X.float()), holds_one_hot(X.argmax(dim=1))
    (True, True, False, False)
    """
    if one.is_floating_point() or one.ndim < 3 or not one.numel():
        return False
    few = one.numel() <= AT_ONCE
    parts = [one.detach()] if few else torch.split(one.detach(), max(1, AT_ONCE // one[0].numel()))
    return any(all(_one_hot_along(part, dim) for part in parts) for dim in _dimensions(one))


@contextlib.contextmanager
def explain_dtype_errors(inputs: Sequence[object]) -> Iterator[None]:
    """Say which integers a model was called with, in one sentence, where it does not take them, or has none such.

    Parameters
    ----------
    inputs : sequence
        What the model is called with.

    Raises
    ------
    InputError
        In the place of PyTorch's error.
    """
    try:
        yield
    except SeqlightError:
        raise
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        found = [f"{_described(i, one)}, {_range(one)}" for i, one in enumerate(inputs) if _holds_ids(one)]
        if found and EMBEDDING_ERROR.search(str(error)):
            raise InputError(
                f"the model has no embedding for one of {' and '.join(found)} ({error}): expected ids from 0 to below "
                "the number of its embeddings; look for another tokenizer, or for padding by -1."
            ) from error
        met = _met(inputs, str(error)) if DTYPE_ERROR.search(str(error)) else ""
        if not met or isinstance(error, IndexError):
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"the model does not take {met} ({reason}): expected a dtype that it takes; pass .float() of integers that "
            "are numbers, and .long() of those that are ids."
        ) from error


def _met(inputs: Sequence[object], message: str) -> str:
    """Return what of the inputs may be meant by an error about dtypes."""
    wanted = "indices" in message or "index" in message
    found = [
        _described(i, one)
        for i, one in enumerate(inputs)
        if isinstance(one, Tensor) and (wanted or not one.is_floating_point())
    ]
    return " and ".join(found)


def _described(i: int, one: Tensor) -> str:
    return f"{_name(i)} of {str(one.dtype).removeprefix('torch.')} and shape {tuple(one.shape)}"


def _holds_ids(one: object) -> TypeGuard[Tensor]:
    return isinstance(one, Tensor) and not (one.is_floating_point() or one.is_complex()) and one.numel() > 0


def _range(ids: Tensor) -> str:
    return f"from {int(ids.min())} to {int(ids.max())}"


def _name(i: int) -> str:
    return f"args[{i - 1}]" if i else "X"


def _dimensions(one: Tensor) -> list[int]:
    """Return which dimensions may be that of letters: that behind the rows, first, and those beside longer ones."""
    each = one[0].numel()
    return [
        dim
        for dim in range(1, one.ndim)
        if 2 <= one.shape[dim] <= MOST_LETTERS and (one.shape[dim] < each or (dim == 1 and one.ndim == 3))
    ]


def _one_hot_along(one: Tensor, dim: int) -> bool:
    """Return whether there are zeros and ones alone, and nowhere more than a single 1 along a dimension."""
    mask = one.dtype == torch.bool
    if one.ndim == 3 and dim == 1 and not mask and kernels.read_codes(one) is not None:
        return True
    if not mask and not bool(((one == 0) | (one == 1)).all()):
        return False
    ones = one.sum(dim=dim, dtype=torch.int32)
    return bool((ones <= 1).all()) and (not mask or bool(2 * ones.sum() >= ones.numel()))


def _whole(one: Tensor) -> bool:
    return bool((one == one.round()).logical_or_(one.isnan()).all())


@cache
def _may_lose(given: torch.dtype, wanted: torch.dtype) -> bool:
    """Return whether numbers of a dtype may become others in a floating-point one."""
    new = torch.finfo(wanted)
    if given.is_floating_point:
        old = torch.finfo(given)
        return old.max > new.max or old.eps < new.eps
    return given != torch.bool and torch.iinfo(given).max > 2 / new.eps
