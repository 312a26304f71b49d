"""Find the first operation of a forward that mixes the rows of a batch, or draws random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from seqlight.prediction.module_names import describe_current_module, plain_name

# Runs a model on a batch of copies of two rows, 0 and 1, given by number.
RunRows: TypeAlias = Callable[[Sequence[int]], Any]

# The share of its size by which rounding may change the output of an operation if the size of the batch changes.
ROUNDING = {torch.float64: 1e-5, torch.float32: 1e-3}
HALF_PRECISION = 5e-2
# The same if the batch is the same, so that only chance makes a difference.
RERUN = 1e-6

# In-place operations that fill memory with random numbers, whatever it held.
RANDOM_FILLS = frozenset("uniform normal bernoulli exponential random log_normal cauchy geometric".split())


class Step(NamedTuple):
    """One operation: its name, the module that calls it, its inputs and outputs."""

    name: str
    module: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class OperationTrace(TorchFunctionMode):
    """Records the operations of a model with their inputs and outputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.steps: list[Step] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, inputs = plain_name(func), _copy_tensors((args, kwargs))
        y = func(*args, **(kwargs or {}))
        outputs = _copy_tensors(args[0] if name == "setitem" else y)
        if outputs and "empty" not in name:  # uninitialised memory
            module = describe_current_module(self.model)
            self.steps.append(Step(name, module, [] if name in RANDOM_FILLS else inputs, outputs))
        return y


def _copy_tensors(tree: Any) -> list[Tensor]:
    return [one.detach().clone() for one in tree_leaves(tree) if isinstance(one, Tensor)]


class Culprit(NamedTuple):
    """The operation that makes the output for a row depend on more than that row.

    Attributes
    ----------
    operation, module : str
        Its name, and the module that calls it.
    exact : bool
        Whether it is this operation; otherwise it is something that cannot be traced, whose output this one takes.
    """

    operation: str
    module: str
    exact: bool = True


def describe_culprit(found: Culprit | None) -> str:
    """Return in words what makes outputs depend on more than their row.

    Examples
    --------
    >>> describe_culprit(Culprit("softmax", " in module 'pool' (Softmax)"))
    "it mixes the rows of a batch or draws random numbers, first at `softmax` in module 'pool' (Softmax)"
    """
    if found is None:
        where = ", as softmax(0), mean(0), batch statistics and dropout do"
    else:
        where = f", first {'at' if found.exact else 'somewhere before'} `{found.operation}`{found.module}"
    return f"it mixes the rows of a batch or draws random numbers{where}"


def find_culprit(model: nn.Module, run: RunRows) -> Culprit | None:
    """Return the first operation whose output for a row changes from call to call, or with the other rows.

    Parameters
    ----------
    model : torch.nn.Module
        For the names of its modules.
    run : callable
        Runs the model on a batch of two rows.

    Returns
    -------
    Culprit or None
        None if the operations cannot be compared: those of compiled or scripted code are not traced.
    """
    # One row at a time and both, since it may be that only one of them depends on the other.
    for row in ([0], [1], [0, 1]):
        try:
            # Before the other rows and after them: a row that depends on those before it shows this only if it is last.
            others = [1 - row[0]] * len(row)
            alone, again, first, last = (
                _record_steps(model, run, rows) for rows in (row, row, [*row, *others], [*others, *row])
            )
        except Exception:  # a model that does not accept a single row, say, or too little memory
            continue
        # Only chance makes any difference, however small, between two runs of the same rows.
        drawn = _first_difference(alone, again, lambda a, b: [b], RERUN)
        found = (
            drawn
            or _first_difference(alone, last, partial(_possible_parts, rows=len(row), at_end=True))
            or _first_difference(alone, first, partial(_possible_parts, rows=len(row), at_end=False))
        )
        if found is not None:
            return found
    return None


def _record_steps(model: nn.Module, run: RunRows, rows: Sequence[int]) -> list[Step]:
    trace, before = OperationTrace(model), [(one, one.clone()) for one in model.buffers()]
    with trace:
        run(rows)
    for buffer, value in before:  # so that a counter, say, makes no difference between runs
        if buffer.shape == value.shape:
            buffer.copy_(value)
    return trace.steps


def _first_difference(
    steps: list[Step],
    others: list[Step],
    parts: Callable[[Tensor, Tensor], list[Tensor]],
    tolerance: float | None = None,
) -> Culprit | None:
    """Return the first step with an output that is close to none of the `parts` of the other run's output."""

    def same(tensors: list[Tensor], wholes: list[Tensor]) -> bool:
        found = [(a, parts(a, b)) for a, b in zip(tensors, wholes, strict=True)]
        return all(not many or any(is_close(a, one, tolerance) for one in many) for a, many in found)

    for one, other in zip(steps, others, strict=False):
        if one.name != other.name or len(one.outputs) != len(other.outputs):
            return None
        if not same(one.outputs, other.outputs):
            exact = len(one.inputs) == len(other.inputs) and same(one.inputs, other.inputs)
            return Culprit(one.name, one.module, exact)
    return None


def _possible_parts(a: Tensor, b: Tensor, rows: int, at_end: bool) -> list[Tensor]:
    """Return the parts of `b`, which has twice as many rows, that may correspond to `a`, judging by their shapes."""
    if (
        a.dtype != b.dtype
        or a.ndim != b.ndim
        or any(m not in (n, 2 * n) for n, m in zip(a.shape, b.shape, strict=True))
    ):
        return []
    # Rows are consecutive, or interleaved with a dimension that the model merged them with.
    consecutive = interleaved = b
    for dim, size in enumerate(a.shape):
        if b.shape[dim] == size:
            continue
        consecutive = consecutive.narrow(dim, size if at_end else 0, size)
        step = rows if not size % rows else size
        parted = interleaved.reshape(*interleaved.shape[:dim], -1, 2 * step, *interleaved.shape[dim + 1 :])
        interleaved = parted.narrow(dim + 1, step if at_end else 0, step).flatten(dim, dim + 1)
    return [consecutive, interleaved]


def is_close(a: Tensor, b: Tensor, tolerance: float | None = None) -> bool:
    """Return whether two tensors of one shape are equal up to a share of their size: `tolerance`, or rounding."""
    if not (a.is_floating_point() or a.is_complex()):
        return bool((a == b).all())
    size = torch.maximum(a.abs(), b.abs()).nan_to_num(0, 0, 0).amax() if a.numel() else 0
    # Negated, so that NaN counts as close.
    return not bool(((a - b).abs() > (tolerance or ROUNDING.get(a.dtype, HALF_PRECISION)) * size).any())
