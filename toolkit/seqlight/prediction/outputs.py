"""Put the outputs of batches together, whatever their structure, in memory that is allocated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from seqlight.errors import InputError, a
from seqlight.sequence.checks import require_dense


class OutputCollector:
    """Outputs of one batch after the other, in the structure that the model gives them.

    Parameters
    ----------
    rows : int, optional
        How many there will be. The result is then allocated once, with the first batch. Without
        that, and for rows beyond it, the batches are kept and joined at the end.
    """

    def __init__(self, rows: int | None) -> None:
        self.rows = rows or 0
        self.done = 0
        self._whole: Any = None
        self._filled = 0
        self._parts: list[Any] = []

    def add(self, output: Any, rows: int) -> None:
        """Take the output of the next `rows` rows; InputError if it has not one row for each."""
        output = self.check(output, rows)
        if not self._parts and self.done + rows <= self.rows:
            self._fill(output, rows)
        else:
            self._parts.append(map_structure(_on_cpu, output))
        self.done += rows

    def check(self, output: Any, rows: int) -> Any:
        """Return `output` with one row for each of `rows`, built like the outputs so far; InputError if it is not."""
        if not self.done and not _holds_a_tensor(output):
            empty = isinstance(output, Mapping | tuple | list)
            raise InputError(
                f"the model returned {a(output)}{' without a tensor' * empty}: expected tensors with a row for each "
                "row of X; look for a missing `return` in its forward, or in `func`."
            )
        if self.done:
            like = self._whole if self._filled else self._parts[0]
            return map_structure(lambda like, y: _with_rows(y, rows, like.shape[1:]), like, output)
        return map_structure(lambda y: _with_rows(y, rows, None), output)

    def result(self) -> Any:
        """Return the outputs of all rows."""
        if not self.done:
            raise InputError("X is empty: expected at least one row.")
        if self._filled == self.rows == self.done:
            return self._whole
        filled = [map_structure(lambda whole: whole[: self._filled], self._whole)] if self._filled else []
        return map_structure(lambda *parts: torch.cat(parts), *filled, *self._parts)

    def _fill(self, output: Any, rows: int) -> None:
        if not self._filled:
            self._whole = map_structure(
                lambda y: torch.empty((self.rows, *y.shape[1:]), dtype=y.dtype, device="cpu"), output
            )
        map_structure(lambda whole, y: whole[self._filled : self._filled + rows].copy_(y), self._whole, output)
        self._filled += rows


def _holds_a_tensor(tree: Any) -> bool:
    """Return whether there is something to put together; of what is no tensor, others say what to do about it."""
    if isinstance(tree, Mapping | tuple | list):
        return any(map(_holds_a_tensor, tree.values() if isinstance(tree, Mapping) else tree))
    return tree is not None


def _on_cpu(y: Tensor) -> Tensor:
    # A model may hand out its own memory again in the next batch.
    return y.detach().to("cpu", copy=True)


def _with_rows(y: Tensor, rows: int, rest: torch.Size | None) -> Tensor:
    """Return `y` with one row for each input; a model that squeezes has none for a batch of one."""
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


def map_structure(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply `function` to the tensors that stand at the same place in structures of tuples, lists and dicts."""
    first = trees[0]
    if any(_kind(tree) != _kind(first) for tree in trees):
        kinds = sorted({type(tree).__name__ for tree in trees})
        raise InputError(
            f"the model's output is built differently in different batches ({', '.join(kinds)}): "
            "expected one structure; use `func` to make it so."
        )
    if isinstance(first, Tensor):
        return function(*trees)
    if first is None:
        return None
    if isinstance(first, Mapping):
        # Through dict, for a mapping need not be made from pairs.
        return {key: map_structure(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple | list):
        parts = [map_structure(function, *entries) for entries in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    raise InputError(
        f"the model's output holds a {type(first).__name__}: expected tensors in tuples, lists or dicts; "
        "use `func` to choose them."
    )


def _kind(tree: Any) -> Any:
    """Return what two structures must share to be walked through together."""
    if isinstance(tree, Tensor):
        return Tensor
    if isinstance(tree, Mapping):
        return dict, frozenset(tree)
    return (type(tree), len(tree)) if isinstance(tree, tuple | list) else type(tree)
