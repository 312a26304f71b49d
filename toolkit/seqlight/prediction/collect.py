"""Put the outputs of batches together, whatever their structure, in memory that is allocated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqlight.errors import InputError


class Collector:
    """Outputs of one batch after the other, in the structure that the model gives them.

    Parameters
    ----------
    rows : int, optional
        How many there will be. The result is then allocated once, with the first batch;
        otherwise the batches are kept and joined at the end.
    """

    def __init__(self, rows: int | None) -> None:
        self.rows = rows
        self.done = 0
        self._whole: Any = None
        self._parts: list[Any] = []

    def add(self, output: Any, rows: int) -> None:
        """Take the output of the next `rows` rows; InputError if it has not one row for each."""
        if self.rows is None:
            self._parts.append(_zipped(lambda y: _on_cpu(_with_rows(y, rows, None)), output))
        elif self._whole is None:
            self._whole = _zipped(lambda y: self._begun(_with_rows(y, rows, None)), output)
        else:
            _zipped(lambda whole, y: self._continued(whole, _with_rows(y, rows, whole.shape[1:])), self._whole, output)
        self.done += rows

    def result(self) -> Any:
        """Return the outputs of all rows."""
        if not self.done:
            raise InputError("X is empty: expected at least one row.")
        if self.rows is None:
            return _zipped(lambda *parts: torch.cat(parts), *self._parts)
        return self._whole

    def _begun(self, y: Tensor) -> Tensor:
        whole = torch.empty((self.rows or 0, *y.shape[1:]), dtype=y.dtype)
        whole[: len(y)] = y
        return whole

    def _continued(self, whole: Tensor, y: Tensor) -> Tensor:
        whole[self.done : self.done + len(y)] = y
        return whole


def _on_cpu(y: Tensor) -> Tensor:
    # A model may hand out its own memory again in the next batch.
    return y.detach().to("cpu", copy=True)


def _with_rows(y: Tensor, rows: int, rest: torch.Size | None) -> Tensor:
    """Return `y` with one row for each input; a model that squeezes has none for a batch of one."""
    if y.ndim and len(y) == rows and (rest is None or y.shape[1:] == rest):
        return y
    if rows == 1 and (y.shape == rest if rest is not None else not y.ndim):
        return y.unsqueeze(0)
    raise InputError(
        f"the model turned {rows} rows into an output of shape {tuple(y.shape)}: expected one row for each, "
        "all of one shape; return that from forward, or use `func` to make it so."
    )


def _zipped(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply `function` to the tensors that stand at the same place in structures of tuples, lists and dicts."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)
    if first is None:
        return None
    if isinstance(first, Mapping):
        # Through dict, for a mapping need not be made from pairs.
        return {key: _zipped(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple | list):
        parts = [_zipped(function, *entries) for entries in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    raise InputError(
        f"the model's output holds a {type(first).__name__}: expected tensors in tuples, lists or dicts; "
        "use `func` to choose them."
    )
