"""Collect the outputs of batches, of any structure, in memory that is allocated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.prediction.host_copies import HostCopy
from seqlight.sequence.checks import require_dense


class OutputCollector:
    """Collects the outputs of one batch after another, on the CPU, in the structure that the model returns.

    Those on a device arrive while it computes the outputs of the next batch.

    Parameters
    ----------
    rows : int, optional
        The number of rows to expect. The result is then allocated once, with the first batch. Without it, and for rows
        beyond it, batches are kept and concatenated at the end.
    """

    def __init__(self, rows: int | None) -> None:
        self.rows = rows or 0
        self.done = 0  # rows collected so far
        self._whole: Any = None
        self._tensors: list[Tensor] = []  # those of the whole
        self._filled = 0
        self._parts: list[Any] = []
        self._arriving: tuple[list[Tensor], HostCopy] | None = None

    def add(self, output: Any, rows: int) -> None:
        """Add the output of the next `rows` rows; InputError unless it has a row for each."""
        output = self.check(output, rows)
        if not self._parts and self.done + rows <= self.rows:
            targets = self._next_places(output, rows)
        else:
            self._parts.append(map_structure(lambda y: torch.empty_like(y, device="cpu"), output))
            targets = flatten_structure(self._parts[-1])
        self.done += rows
        tensors = flatten_structure(output)
        if all(one.is_cpu for one in tensors) and self._arriving is None:
            _copy(tensors, targets)
            return
        copy = HostCopy(tensors)
        self._wait()
        self._arriving = targets, copy
        if copy.is_here:
            self._wait()

    def check(self, output: Any, rows: int) -> Any:
        """Return `output` with one row for each of `rows`; InputError unless it has these, and the structure so far."""
        if not self.done and not _may_hold_tensors(output):
            empty = isinstance(output, Mapping | tuple | list)
            raise InputError(
                f"the model returned {kind_of(output)}{' without a tensor' * empty}: expected tensors with a row for "
                "each row of X; look for a missing `return` in its forward, or in `func`."
            )
        if self.done:
            first = self._whole if self._filled else self._parts[0]
            return map_structure(lambda other, y: _with_rows(y, rows, other.shape[1:]), first, output)
        return map_structure(lambda y: _with_rows(y, rows, None), output)

    def result(self) -> Any:
        """Return the outputs of all rows."""
        if not self.done:
            raise InputError("X is empty: expected at least one row.")
        self._wait()
        if self._filled == self.rows == self.done:
            return self._whole
        filled = [map_structure(lambda whole: whole[: self._filled], self._whole)] if self._filled else []
        return map_structure(lambda *parts: torch.cat(parts), *filled, *self._parts)

    def _next_places(self, output: Any, rows: int) -> list[Tensor]:
        """Return the next rows of the memory for all outputs, which is allocated for the first ones."""
        if not self._filled:
            self._whole = map_structure(
                lambda y: torch.empty((self.rows, *y.shape[1:]), dtype=y.dtype, device="cpu"), output
            )
            self._tensors = flatten_structure(self._whole)
        first, self._filled = self._filled, self._filled + rows
        return [whole[first : self._filled] for whole in self._tensors]

    def _wait(self) -> None:
        """Wait for the outputs that are on their way."""
        if self._arriving is not None:
            places, copy = self._arriving
            self._arriving = None
            _copy(copy.wait(), places)


def map_structure(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply `function` to the tensors at the same place in structures of tuples, lists and dicts."""
    first = trees[0]
    if any(_kind(tree) != _kind(first) for tree in trees):
        kinds = sorted({type(tree).__name__ for tree in trees})
        raise InputError(
            f"the structure of the model's output differs between batches ({', '.join(kinds)}): "
            "expected the same for all; use `func` to make it so."
        )
    if isinstance(first, Tensor):
        return function(*trees)
    if first is None:
        return None
    if isinstance(first, Mapping):
        # A plain dict, since not every mapping can be made from pairs.
        return {key: map_structure(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple | list):
        parts = [map_structure(function, *entries) for entries in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    raise InputError(
        f"the model's output holds a {type(first).__name__}: expected tensors in tuples, lists or dicts; "
        "use `func` to choose them."
    )


def flatten_structure(tree: Any) -> list[Tensor]:
    """Return the tensors of a structure, in order."""
    found: list[Tensor] = []

    def keep(one: Tensor) -> Tensor:
        found.append(one)
        return one

    map_structure(keep, tree)
    return found


def _copy(tensors: list[Tensor], places: list[Tensor]) -> None:
    for one, place in zip(tensors, places, strict=True):
        place.copy_(one.detach())


def _kind(tree: Any) -> Any:
    """Return what two structures must have in common to be traversed together."""
    if isinstance(tree, Tensor):
        return Tensor
    if isinstance(tree, Mapping):
        return dict, frozenset(tree)
    return (type(tree), len(tree)) if isinstance(tree, tuple | list) else type(tree)


def _may_hold_tensors(tree: Any) -> bool:
    """Return whether there is anything to collect; map_structure refuses what is neither None nor a tensor."""
    if isinstance(tree, Mapping | tuple | list):
        return any(map(_may_hold_tensors, tree.values() if isinstance(tree, Mapping) else tree))
    return tree is not None


def _with_rows(y: Tensor, rows: int, rest: torch.Size | None) -> Tensor:
    """Return `y` with one row for each input; for a batch of one, also if the model squeezed that dimension."""
    if not y.is_complex() or y.layout != torch.strided:
        require_dense(y, "the model's output")
    if y.ndim and len(y) == rows and (rest is None or y.shape[1:] == rest):
        return y
    if rows == 1 and (y.shape == rest if rest is not None else not y.ndim):
        return y.unsqueeze(0)
    raise InputError(
        f"the model turned {rows} rows into an output of shape {tuple(y.shape)}: expected one row for each, "
        "all of one shape; return that from forward, or use `func` to make it so."
    )
