"""The operations of a forward in order: which one is the first to mix the rows of a batch, or to draw numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from seqlight.prediction.module_names import describe_current_module, plain_name

# Runs a model on some of two rows, 0 and 1, as often and in the order as they are named.
Run: TypeAlias = Callable[[Sequence[int]], Any]

# By what share of the size of what an operation gives rounding may change it, from one size of batch to another.
ROUNDING = {torch.float64: 1e-5, torch.float32: 1e-3}
COARSE = 5e-2
SAME = 1e-6

# They fill memory with numbers that they draw, whatever was there.
FILLING = frozenset("uniform normal bernoulli exponential random log_normal cauchy geometric".split())


class Step(NamedTuple):
    """One operation, where it is called, what it took and what it gave."""

    name: str
    place: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class Trace(TorchFunctionMode):
    """Write down what each operation of a model gives."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.steps: list[Step] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, inputs = plain_name(func), _copies((args, kwargs))
        y = func(*args, **(kwargs or {}))
        outputs = _copies(args[0] if name == "setitem" else y)
        if outputs and "empty" not in name:  # memory in which nothing was written yet
            self.steps.append(
                Step(name, describe_current_module(self.model), [] if name in FILLING else inputs, outputs)
            )
        return y


def _copies(tree: Any) -> list[Tensor]:
    return [one.detach().clone() for one in tree_leaves(tree) if isinstance(one, Tensor)]


class Culprit(NamedTuple):
    """The operation by which the output of a row comes to depend on more than that row.

    Attributes
    ----------
    operation, place : str
        What it is called, and in which module.
    seen : bool
        Whether it is that operation, and not something that nobody sees, of which it takes what it gave.
    """

    operation: str
    place: str
    seen: bool = True


def culprit(model: nn.Module, run: Run) -> Culprit | None:
    """Return the first operation that gives a row something else each time, or beside another row.

    Parameters
    ----------
    model : torch.nn.Module
        For the names of its modules.
    run : callable
        Runs it on some of two rows.

    Returns
    -------
    Culprit or None
        None if the operations cannot be compared: in compiled or scripted code nobody sees any.
    """
    # Of two rows one may be what the other depends on, and not depend on that.
    for row in ([0], [1], [0, 1]):
        try:
            # Before others and behind them: what a row takes from those before it comes to none that is first.
            others = [1 - row[0]] * len(row)
            alone, again, first, last = (
                _steps(model, run, rows) for rows in (row, row, [*row, *others], [*others, *row])
            )
        except Exception:  # of a model that does not take a single row, say, or of memory that is used up
            continue
        # Nothing but chance makes the same of the same rows another thing, however little.
        drawn = _first(alone, again, lambda a, b: [b], SAME)
        found = (
            drawn
            or _first(alone, last, partial(_parts, rows=len(row), end=True))
            or _first(alone, first, partial(_parts, rows=len(row), end=False))
        )
        if found is not None:
            return found
    return None


def _steps(model: nn.Module, run: Run, rows: Sequence[int]) -> list[Step]:
    trace, before = Trace(model), [(one, one.clone()) for one in model.buffers()]
    with trace:
        run(rows)
    for buffer, value in before:  # what a model counts is no reason
        if buffer.shape == value.shape:
            buffer.copy_(value)
    return trace.steps


def _first(
    steps: list[Step],
    others: list[Step],
    parts: Callable[[Tensor, Tensor], list[Tensor]],
    share: float | None = None,
) -> Culprit | None:
    """Return the first step whose outputs are none of the parts of those of others."""

    def same(tensors: list[Tensor], wholes: list[Tensor]) -> bool:
        found = [(a, parts(a, b)) for a, b in zip(tensors, wholes, strict=True)]
        return all(not many or any(near(a, one, share) for one in many) for a, many in found)

    for one, other in zip(steps, others, strict=False):
        if one.name != other.name or len(one.outputs) != len(other.outputs):
            return None
        if not same(one.outputs, other.outputs):
            seen = len(one.inputs) == len(other.inputs) and same(one.inputs, other.inputs)
            return Culprit(one.name, one.place, seen)
    return None


def _parts(a: Tensor, b: Tensor, rows: int, end: bool) -> list[Tensor]:
    """Return where in `b`, of twice as many rows, `a` may be, as far as one can tell by their shapes."""
    if (
        a.dtype != b.dtype
        or a.ndim != b.ndim
        or any(m not in (n, 2 * n) for n, m in zip(a.shape, b.shape, strict=True))
    ):
        return []
    # Rows lie behind each other, or between those of what a model merges with them.
    behind = between = b
    for dim, size in enumerate(a.shape):
        if b.shape[dim] == size:
            continue
        behind = behind.narrow(dim, size if end else 0, size)
        step = rows if not size % rows else size
        parted = between.reshape(*between.shape[:dim], -1, 2 * step, *between.shape[dim + 1 :])
        between = parted.narrow(dim + 1, step if end else 0, step).flatten(dim, dim + 1)
    return [behind, between]


def near(a: Tensor, b: Tensor, share: float | None = None) -> bool:
    """Return whether two tensors of one shape are the same but for rounding, or for a `share` of their size."""
    if not (a.is_floating_point() or a.is_complex()):
        return bool((a == b).all())
    size = torch.maximum(a.abs(), b.abs()).nan_to_num(0, 0, 0).amax() if a.numel() else 0
    # Asked this way round, what is no number passes.
    return not bool(((a - b).abs() > (share or ROUNDING.get(a.dtype, COARSE)) * size).any())
