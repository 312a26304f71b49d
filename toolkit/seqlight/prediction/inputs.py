"""Convert inputs for a model: one rule for the dtype and device of X and of the further inputs."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.prediction.host_copies import MOST_BYTES, can_pin
from seqlight.sequence import native_loops
from seqlight.sequence.checks import MOST_LETTERS

# Elements that are checked at once, so that checks take little memory.
AT_ONCE = 2**24


class InputConversion:
    """The conversion of each input of a call, decided once for all batches.

    Floating-point numbers take the dtype of the model, and so do integers and booleans that are one-hot. Other
    integers are ids, counts or masks, and keep their dtype.

    Parameters
    ----------
    inputs : sequence of torch.Tensor or None
        All rows of each input, X first; None for an input whose rows come a batch at a time. Of that the first batch
        decides, and the others must be of the same kind.
    explained : int
        The number of inputs before these that are explained, or known to be one-hot: they are always converted.
    """

    def __init__(self, inputs: Sequence[Any], explained: int = 0) -> None:
        known = [holds_one_hot(one) if isinstance(one, Tensor) else None for one in inputs]
        self._one_hot: list[bool | None] = [*[True] * explained, *known]
        self._by_batch = [*[False] * explained, *(one is None for one in inputs)]
        self._names = [*["X"] * explained, *(input_name(i + bool(explained)) for i in range(len(inputs)))]

    def apply(self, inputs: Sequence[Any], dtype: torch.dtype, device: torch.device) -> list[Any]:
        """Return a batch as the model takes it, and what is no tensor unchanged.

        Parameters
        ----------
        inputs : sequence
            Some rows of each input.
        dtype : torch.dtype
            The dtype in which the model computes.
        device : torch.device
            The device of the model.

        Raises
        ------
        InputError
            If `dtype` cannot hold the numbers, or a batch is of another kind than the first.
        """
        return [
            self._convert(i, one, dtype, device) if isinstance(one, Tensor) else one for i, one in enumerate(inputs)
        ]

    def for_batch(self, inputs: Sequence[Any]) -> InputConversion:
        """Return the conversion for a batch that is sent in parts: it is decided by the whole batch."""
        found = copy(self)
        found._one_hot = [
            None if not isinstance(one, Tensor) else one.is_floating_point() or self._is_one_hot(i, one)
            for i, one in enumerate(inputs)
        ]
        found._by_batch = [False] * len(inputs)
        return found

    def _convert(self, i: int, one: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
        if one.is_floating_point() or self._is_one_hot(i, one):
            return convert(one, dtype, device, self._names[i])
        return to_device(one, device)

    def _is_one_hot(self, i: int, one: Tensor) -> bool:
        decided = self._one_hot[i]
        if not self._by_batch[i] or decided is False:
            return bool(decided)
        if decided is None:
            decided = self._one_hot[i] = holds_one_hot(one)
        elif not holds_one_hot(one):
            raise InputError(
                f"a batch of {self._names[i]} holds integers that are not one-hot, and the first one was one-hot: "
                "expected one kind; convert them all, with .float() if they are numbers and .long() if they are ids."
            )
        return decided


def input_name(i: int) -> str:
    """Return what the caller knows an input as: X, or one of `args`."""
    return f"args[{i - 1}]" if i else "X"


def to_device(one: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on `device`.

    A transfer to the CPU blocks, since its memory must not be read before the data have arrived. Nobody waits for a
    transfer to another device, which begins in pinned memory: from any other the device has to be waited for.
    """
    if one.is_cpu and one.nbytes <= MOST_BYTES and can_pin(device.type) and not one.is_pinned():
        one = torch.empty_like(one, pin_memory=True).copy_(one)
    return one.to(device, non_blocking=device.type != "cpu")


def convert(one: Tensor, dtype: torch.dtype, device: torch.device, name: str = "X") -> Tensor:
    """Return a tensor on `device` and in a floating-point `dtype`; InputError if that cannot hold its numbers."""
    # The check of a cast that may lose digits has to be waited for, so it is not made on the device.
    if one.dtype.itemsize > dtype.itemsize or _may_lose(one.dtype, dtype):
        return to_device(cast(one, dtype, name), device)
    # Small integers are transferred as they are, and cast on the device.
    return cast(to_device(one, device), dtype, name)


def cast(one: Tensor, dtype: torch.dtype, name: str = "X") -> Tensor:
    """Return a tensor in a floating-point `dtype`.

    Raises
    ------
    InputError
        If a number is beyond the range of `dtype`, or if all are whole numbers, as ids and counts are, and one of them
        would change.

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
        lost = beyond if beyond.any() or not _all_whole(one) else lost & one.isfinite()
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

    It does if it has at least three dimensions, holds only zeros and ones, and has a dimension after the first, of at
    least two letters, along which there is never more than a single 1. Zeros alone are unknown characters. Booleans
    are usually masks, so these must have a 1 at half of the positions or more.

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
    return any(all(_one_hot_along(part, dim) for part in parts) for dim in _letter_dimensions(one))


def _letter_dimensions(one: Tensor) -> list[int]:
    """Return the dimensions that may be that of letters: short, and not all that a row has; dimension 1 comes first."""
    each = one[0].numel()
    return [
        dim
        for dim in range(1, one.ndim)
        if 2 <= one.shape[dim] <= MOST_LETTERS and (one.shape[dim] < each or (dim == 1 and one.ndim == 3))
    ]


def _one_hot_along(one: Tensor, dim: int) -> bool:
    """Return whether there are only zeros and ones, and never more than a single 1 along a dimension."""
    mask = one.dtype == torch.bool
    if one.ndim == 3 and dim == 1 and not mask and native_loops.read_codes(one) is not None:
        return True
    if not mask and not bool(((one == 0) | (one == 1)).all()):
        return False
    ones = one.sum(dim=dim, dtype=torch.int32)
    return bool((ones <= 1).all()) and (not mask or bool(2 * ones.sum() >= ones.numel()))


def _all_whole(one: Tensor) -> bool:
    return bool((one == one.round()).logical_or_(one.isnan()).all())


@cache
def _may_lose(given: torch.dtype, wanted: torch.dtype) -> bool:
    """Return whether a number of one dtype may change when cast to a floating-point one."""
    new = torch.finfo(wanted)
    if given.is_floating_point:
        old = torch.finfo(given)
        return old.max > new.max or old.eps < new.eps
    return given != torch.bool and torch.iinfo(given).max > 2 / new.eps
