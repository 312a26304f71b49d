"""Convert arguments in Captum's style: inputs, baselines, targets and functions of one to three arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.sequence.checks import require_dense, require_tensor
from seqlight.targets.contrast import Target


def as_tensors(inputs: Any) -> tuple[Tensor, ...]:
    """Return inputs as a tuple of tensors with the same number of rows; InputError if they are not."""
    found = inputs if isinstance(inputs, tuple) else (inputs,)
    for i, one in enumerate(found):
        require_tensor(one, f"inputs[{i}]" if isinstance(inputs, tuple) else "inputs")
    if not found or any(not one.ndim or not len(one) or len(one) != len(found[0]) for one in found):
        shapes = ", ".join(str(tuple(one.shape)) for one in found)
        raise InputError(f"inputs have the shapes {shapes or '()'}: expected the same number of rows, at least one.")
    return found


def one_baseline_per_row(inputs: Sequence[Tensor], baselines: Any) -> list[Tensor]:
    """Return one baseline for each row, in the shape of each input.

    Parameters
    ----------
    inputs : sequence of torch.Tensor
    baselines : number, torch.Tensor, list of numbers, None, or a tuple or list of these

    Raises
    ------
    InputError
        If they do not fit the inputs.
    """
    given = (None,) * len(inputs) if baselines is None else _one_per_input(inputs, baselines)
    return [_expand_baseline(x, one) for x, one in zip(inputs, given, strict=True)]


def baselines_per_row(inputs: Sequence[Tensor], baselines: Any) -> list[Tensor]:
    """Return several baselines for each row, of shape (rows, baselines, ...) for each input.

    Parameters
    ----------
    inputs : sequence of torch.Tensor, each of shape (rows, ...)
    baselines : torch.Tensor, list, or a tuple or list of these
        Of shape (baselines, ...), shared by all rows, or (rows, baselines, ...).

    Raises
    ------
    InputError
        If they do not fit the inputs.
    """
    if baselines is None:
        raise InputError(
            "no baselines are given: expected a tensor of them, shared by all rows, a tuple of such tensors for a "
            "tuple of inputs, or a function that returns them; pass some, or use DeepLift, whose default is zeros."
        )
    given = _one_per_input(inputs, baselines)
    found: list[Tensor] = []
    for i, (x, one) in enumerate(zip(inputs, given, strict=True)):
        if isinstance(one, Tensor) and one.ndim == x.ndim:
            one = one.unsqueeze(0).expand(len(x), *one.shape)
        n: int | str = found[0].shape[1] if found else "baselines"
        if not isinstance(one, Tensor) or one.ndim != x.ndim + 1 or one.shape != (len(x), _count(one, n), *x.shape[1:]):
            name = f"baselines[{i}]" if isinstance(baselines, tuple | list) else "baselines"
            raise InputError(
                f"{name} is {_description(given[i])}: expected a tensor of shape {_shape(n, *x.shape[1:])}, shared by "
                f"all rows, or {_shape(len(x), n, *x.shape[1:])}{_remedy(one, name)}."
            )
        found.append(one.to(x.device))
    return found


def convert_target(target: Any, rows: int) -> Target:
    """Return a target of Captum's as :class:`seqlight.attribution.targets.Targets` takes it."""
    if target is None:
        return functools.partial(_only_output, rows=rows)
    if isinstance(target, list):
        if len(target) != rows:
            raise InputError(f"target is a list of length {len(target)}: expected one target for each of {rows} rows.")
        try:
            return torch.tensor(target, device="cpu")
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                f"target is the list {target!r}: expected an integer for each row, or tuples of the same length."
            ) from None
    if isinstance(target, Tensor | np.ndarray) and target.shape == (1,):
        # Captum's way of giving one target for all rows.
        return target[0]
    found: Target = target
    return found


def call_attribution_func(custom: Callable[..., Any], *arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the result of a ``custom_attribution_func``.

    Parameters
    ----------
    custom : callable
        Takes the first, the first two or all of `arguments`.
    arguments : tuple of torch.Tensor, each with a row for each pair of an input and a baseline
        Multipliers, inputs and baselines.

    Raises
    ------
    InputError
        If the result is not a tuple with a tensor for each input and a row for each pair.
    """
    if not callable(custom):
        raise InputError(f"custom_attribution_func is {kind_of(custom)}: expected a function of the multipliers.")
    result, n, pairs = call_with_accepted_arguments(custom, *arguments), len(arguments[0]), len(arguments[0][0])
    fault = kind_of(result)
    if isinstance(result, tuple | list):
        fault = f"{fault} of length {len(result)}" if len(result) != n else ""
        for i, one in enumerate(result):
            if not isinstance(one, Tensor) or not one.ndim or len(one) != pairs or not one.is_floating_point():
                dtype = f" and {one.dtype}" if isinstance(one, Tensor) else ""
                fault = fault or f"{kind_of(result)} whose entry {i} is {_description(one)}{dtype}"
    if fault:
        tensors = "one tensor" if n == 1 else f"{n} tensors, one for each input"
        remedy = "; return (it,)" if isinstance(result, Tensor) and n == 1 else ""
        raise InputError(
            f"custom_attribution_func returned {fault}: expected a tuple of {tensors}, of floating-point numbers "
            f"with a row for each pair of an input and a baseline, here {pairs}{remedy}."
        )
    return tuple(result)


def call_with_accepted_arguments(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function` with as many of `arguments` as it accepts; InputError if it needs more."""
    try:
        takes = inspect.signature(function).parameters.values()
    except ValueError:  # functions in C, such as torch.zeros_like, have no signature
        return function(*arguments)
    if any(one.kind is one.VAR_POSITIONAL for one in takes):
        return function(*arguments)
    places = [one for one in takes if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    given = {*places[: len(arguments)], *(one for one in takes if one.kind is one.VAR_KEYWORD)}
    missing = [one.name for one in takes if one.default is one.empty and one not in given]
    if missing:
        raise InputError(
            f"{getattr(function, '__name__', function)} also needs {', '.join(missing)}: expected a function of at "
            f"most {len(arguments)} arguments; give the others defaults."
        )
    return function(*arguments[: len(places)])


def sum_attributions(attributions: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Return the sums of attributions over all inputs, shape (rows,).

    Raises
    ------
    InputError
        If they are not one tensor for each input, with the same number of rows.
    """
    given = tuple(attributions) if isinstance(attributions, tuple | list) else (attributions,)
    if len(given) != len(inputs) or any(
        not isinstance(one, Tensor) or not one.ndim or len(one) != len(x) for one, x in zip(given, inputs, strict=True)
    ):
        descriptions = ", ".join(map(_description, given))
        raise InputError(
            f"attributions are {descriptions or 'none'}: expected a tensor with {len(inputs[0])} rows for each of "
            f"{len(inputs)} inputs, as attribute returns them."
        )
    parts = [one.detach().unsqueeze(1).flatten(1).sum(1) for one in given]
    return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]


def _one_per_input(inputs: Sequence[Tensor], baselines: Any) -> tuple[Any, ...]:
    """Return what is given for each input, with lists of numbers or of tensors as tensors."""
    given = baselines if isinstance(baselines, tuple) else (baselines,)
    if isinstance(baselines, list) and (len(inputs) > 1 or _is_list_of_inputs(baselines, inputs[0])):
        given = tuple(baselines)
    _require_one_per_input(inputs, given)
    return tuple(_as_tensor(one, x) if isinstance(one, list) else one for one, x in zip(given, inputs, strict=True))


def _is_list_of_inputs(baselines: list[Any], x: Tensor) -> bool:
    """Return whether a list holds the baseline of the only input, and not the rows of that baseline."""
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
    if numbers.dtype.kind not in "biuf":  # None would silently become NaN
        raise InputError(
            f"baselines hold {kind_of(rows)} that cannot become a tensor: expected lists of numbers, of the same "
            "length at each depth; or pass a tensor."
        )
    found = torch.from_numpy(numbers.astype(np.float64))
    # In the dtype of integer inputs, fractions would be truncated.
    return found.to(x.dtype) if x.is_floating_point() else found


def _require_one_per_input(inputs: Sequence[Tensor], baselines: Sequence[Any]) -> None:
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
    """Return how many baselines there must be: at least one, and as many as the first input has."""
    return max(1, baselines.shape[1]) if isinstance(wanted, str) else wanted


def _description(thing: object) -> str:
    return f"of shape {tuple(thing.shape)}" if isinstance(thing, Tensor) else kind_of(thing)


def _remedy(thing: object, name: str) -> str:
    return f"; use torch.from_numpy({name})" if isinstance(thing, np.ndarray) else ""


def _shape(*sizes: int | str) -> str:
    """Return a shape as text; a size may be a word."""
    return f"({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)})"


def _expand_baseline(x: Tensor, baseline: Any) -> Tensor:
    """Return a baseline in the shape of its input; InputError if it does not fit."""
    if baseline is None:
        return torch.zeros_like(x)
    if isinstance(baseline, int | float):
        # In the dtype of integer inputs, a fraction would be truncated.
        return torch.full(x.shape, baseline, dtype=x.dtype if x.is_floating_point() else torch.float64, device=x.device)
    if not isinstance(baseline, Tensor) or baseline.shape not in (x.shape, (1, *x.shape[1:])):
        raise InputError(
            f"a baseline is {_description(baseline)}: expected a number, or a tensor of shape {tuple(x.shape)} or "
            f"with one row{_remedy(baseline, 'the array')}."
        )
    return baseline.to(x.device).expand(x.shape)


def _only_output(output: Any, rows: int) -> Tensor:
    """Return the only number of each row; InputError if there are more."""
    # A model that squeezes its output removes the dimension of a single row, but not that of several.
    if not isinstance(output, Tensor) or (rows > 1 if not output.ndim else output[:1].numel() != 1):
        found = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else kind_of(output)
        raise InputError(
            f"no target is given and the model returns {found}: expected one number for each row; pass a target."
        )
    return output.flatten()
