"""What Captum's arguments mean: inputs, baselines, targets and functions of one to three arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlight.attribution.targets import Target
from seqlight.errors import InputError, a
from seqlight.sequence.checks import require_dense, require_tensor


def tensors_of(inputs: Any) -> tuple[Tensor, ...]:
    """Return inputs as a tuple of tensors with as many rows each; InputError if they are not."""
    found = inputs if isinstance(inputs, tuple) else (inputs,)
    for i, one in enumerate(found):
        require_tensor(one, f"inputs[{i}]" if isinstance(inputs, tuple) else "inputs")
    if not found or any(not one.ndim or not len(one) or len(one) != len(found[0]) for one in found):
        shapes = ", ".join(str(tuple(one.shape)) for one in found)
        raise InputError(f"inputs have the shapes {shapes or '()'}: expected as many rows in each, and at least one.")
    return found


def one_baseline_each(inputs: Sequence[Tensor], baselines: Any) -> list[Tensor]:
    """Return a baseline for each row of each input, in the shape of that input.

    Parameters
    ----------
    inputs : sequence of torch.Tensor
    baselines : number, torch.Tensor, list of numbers, None, or a tuple or list of these

    Raises
    ------
    InputError
        If they do not fit.
    """
    given = (None,) * len(inputs) if baselines is None else _entries(inputs, baselines)
    return [_like(x, one) for x, one in zip(inputs, given, strict=True)]


def many_baselines_each(inputs: Sequence[Tensor], baselines: Any) -> list[Tensor]:
    """Return the baselines of each row of each input, shape (rows, baselines, ...).

    Parameters
    ----------
    inputs : sequence of torch.Tensor, each of shape (rows, ...)
    baselines : torch.Tensor, list, or a tuple or list of these
        Of shape (baselines, ...), shared by all rows, or (rows, baselines, ...).

    Raises
    ------
    InputError
        If they do not fit.
    """
    if baselines is None:
        raise InputError(
            "no baselines are given: expected a tensor of them, shared by all rows, a tuple of such tensors for a "
            "tuple of inputs, or a function that makes them; pass some, or use DeepLift, which takes zeros."
        )
    given = _entries(inputs, baselines)
    found: list[Tensor] = []
    for i, (x, one) in enumerate(zip(inputs, given, strict=True)):
        if isinstance(one, Tensor) and one.ndim == x.ndim:
            one = one.unsqueeze(0).expand(len(x), *one.shape)
        n: int | str = found[0].shape[1] if found else "baselines"
        if not isinstance(one, Tensor) or one.ndim != x.ndim + 1 or one.shape != (len(x), _count(one, n), *x.shape[1:]):
            name = f"baselines[{i}]" if isinstance(baselines, tuple | list) else "baselines"
            raise InputError(
                f"{name} is {_met(given[i])}: expected a tensor of shape {_shape(n, *x.shape[1:])}, shared by all "
                f"rows, or {_shape(len(x), n, *x.shape[1:])}{_remedy(one, name)}."
            )
        found.append(one.to(x.device))
    return found


def target_of(target: Any, rows: int) -> Target:
    """Return the target that is meant, as :class:`seqlight.attribution.targets.Targets` takes it."""
    if target is None:
        return functools.partial(_the_only_one, rows=rows)
    if isinstance(target, list):
        if len(target) != rows:
            raise InputError(f"target is a list of {len(target)}: expected one for each of {rows} rows.")
        try:
            return torch.tensor(target, device="cpu")
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                f"target is the list {target!r}: expected an integer, or a tuple of as many, for each row."
            ) from None
    if isinstance(target, Tensor | np.ndarray) and target.shape == (1,):
        # Captum's way to name one target for all rows.
        return target[0]
    found: Target = target
    return found


def custom_result(custom: Callable[..., Any], *arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what a function of the user's makes of multipliers, inputs and baselines, each with a row for each pair.

    Raises
    ------
    InputError
        If it is no tuple with a tensor for each input, or if one has another number of rows.
    """
    if not callable(custom):
        raise InputError(f"custom_attribution_func is {a(custom)}: expected a function of the multipliers.")
    made, n, pairs = called(custom, *arguments), len(arguments[0]), len(arguments[0][0])
    met = a(made)
    if isinstance(made, tuple | list):
        met = f"{met} of length {len(made)}" if len(made) != n else ""
        for i, one in enumerate(made):
            if not isinstance(one, Tensor) or not one.ndim or len(one) != pairs or not one.is_floating_point():
                kind = f" and {one.dtype}" if isinstance(one, Tensor) else ""
                met = met or f"{a(made)} whose entry {i} is {_met(one)}{kind}"
    if met:
        tensors = "one tensor" if n == 1 else f"{n} tensors, one for each input"
        remedy = "; return (it,)" if isinstance(made, Tensor) and n == 1 else ""
        raise InputError(
            f"custom_attribution_func returned {met}: expected a tuple of {tensors}, of floating-point numbers "
            f"with a row for each pair of an input and a baseline, here {pairs}{remedy}."
        )
    return tuple(made)


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function` with as many of `arguments` as it takes; InputError if it needs more."""
    try:
        takes = inspect.signature(function).parameters.values()
    except ValueError:  # of a function in C, such as torch.zeros_like, nobody knows
        return function(*arguments)
    if any(one.kind is one.VAR_POSITIONAL for one in takes):
        return function(*arguments)
    places = [one for one in takes if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    given = {*places[: len(arguments)], *(one for one in takes if one.kind is one.VAR_KEYWORD)}
    wanted = [one.name for one in takes if one.default is one.empty and one not in given]
    if wanted:
        raise InputError(
            f"{getattr(function, '__name__', function)} needs {', '.join(wanted)} beside what it is called with: "
            f"expected a function of at most {len(arguments)} arguments; give the others defaults."
        )
    return function(*arguments[: len(places)])


def contributed(attributions: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Return the sums of attributions over all inputs, shape (rows,).

    Raises
    ------
    InputError
        If there is no tensor with as many rows for each input.
    """
    given = tuple(attributions) if isinstance(attributions, tuple | list) else (attributions,)
    if len(given) != len(inputs) or any(
        not isinstance(one, Tensor) or not one.ndim or len(one) != len(x) for one, x in zip(given, inputs, strict=True)
    ):
        met = ", ".join(map(_met, given))
        raise InputError(
            f"attributions are {met or 'none'}: expected a tensor with {len(inputs[0])} rows for each of "
            f"{len(inputs)} inputs, as attribute returns them."
        )
    parts = [one.detach().unsqueeze(1).flatten(1).sum(1) for one in given]
    return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]


def _entries(inputs: Sequence[Tensor], baselines: Any) -> tuple[Any, ...]:
    """Return what is given for each input; lists of numbers, or of tensors, as tensors."""
    given = baselines if isinstance(baselines, tuple) else (baselines,)
    if isinstance(baselines, list) and (len(inputs) > 1 or _is_an_entry(baselines, inputs[0])):
        given = tuple(baselines)
    _require_one_for_each(inputs, given)
    return tuple(_as_tensor(one, x) if isinstance(one, list) else one for one, x in zip(given, inputs, strict=True))


def _is_an_entry(baselines: list[Any], x: Tensor) -> bool:
    """Return whether a list holds what is meant for its only input, and not the rows of that."""
    if len(baselines) != 1:
        return False
    entry, depth = baselines[0], 0
    while isinstance(entry, list) and entry:
        entry, depth = entry[0], depth + 1
    if isinstance(entry, Tensor):
        depth += entry.ndim
    return depth >= x.ndim or isinstance(baselines[0], int | float)


def _as_tensor(rows: list[Any], x: Tensor) -> Tensor:
    """Return a list of tensors, or of numbers to any depth, as one tensor."""
    try:
        if all(isinstance(one, Tensor) for one in rows):
            return torch.stack(rows)
        numbers = np.asarray(rows)
    except (TypeError, ValueError, RuntimeError):
        numbers = np.empty(0, dtype=object)
    if numbers.dtype.kind not in "biuf":  # None would be NaN in silence
        raise InputError(
            f"baselines hold {a(rows)} that is no tensor: expected lists of one length at each depth, of numbers; "
            "or pass a tensor."
        )
    found = torch.from_numpy(numbers.astype(np.float64))
    # A fraction of integers would be none.
    return found.to(x.dtype) if x.is_floating_point() else found


def _require_one_for_each(inputs: Sequence[Tensor], baselines: Sequence[Any]) -> None:
    if len(inputs) != len(baselines):
        many = "s" * (len(inputs) != 1), "s" * (len(baselines) != 1)
        raise InputError(
            f"there are {len(inputs)} input{many[0]} and {len(baselines)} baseline{many[1]}: "
            "expected a tuple with an entry for each input."
        )
    for i, one in enumerate(baselines):
        if isinstance(one, Tensor):
            require_dense(one, f"baselines[{i}]" if len(baselines) > 1 else "baselines")


def _count(baselines: Tensor, wanted: int | str) -> int:
    """Return how many baselines there must be: as many as of the first input, and at least one."""
    return max(1, baselines.shape[1]) if isinstance(wanted, str) else wanted


def _met(thing: object) -> str:
    return f"of shape {tuple(thing.shape)}" if isinstance(thing, Tensor) else a(thing)


def _remedy(thing: object, name: str) -> str:
    return f"; use torch.from_numpy({name})" if isinstance(thing, np.ndarray) else ""


def _shape(*sizes: int | str) -> str:
    """Return a shape as text, where a size may be a word."""
    return f"({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)})"


def _like(x: Tensor, baseline: Any) -> Tensor:
    if baseline is None:
        return torch.zeros_like(x)
    if isinstance(baseline, int | float):
        # A fraction of integers would be none.
        return torch.full(x.shape, baseline, dtype=x.dtype if x.is_floating_point() else torch.float64, device=x.device)
    if not isinstance(baseline, Tensor) or baseline.shape not in (x.shape, (1, *x.shape[1:])):
        raise InputError(
            f"a baseline is {_met(baseline)}: expected a number, or a tensor of shape {tuple(x.shape)} or one row"
            f"{_remedy(baseline, 'the array')}."
        )
    return baseline.to(x.device).expand(x.shape)


def _the_only_one(output: Any, rows: int) -> Tensor:
    # A single row may have lost its dimension, and so must several not have.
    if not isinstance(output, Tensor) or (rows > 1 if not output.ndim else output[:1].numel() != 1):
        met = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else a(output)
        raise InputError(
            f"no target is given and the model returns {met}: expected one number for each row; pass a target."
        )
    return output.flatten()
