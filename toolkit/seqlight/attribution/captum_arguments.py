"""What Captum's arguments mean: inputs, baselines, targets and functions of one to three arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.targets import Target
from seqlight.errors import InputError
from seqlight.sequence.checks import require_tensor


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
    baselines : number, torch.Tensor, None, or tuple of these

    Raises
    ------
    InputError
        If they do not fit.
    """
    given = baselines if isinstance(baselines, tuple) else (baselines,) * (len(inputs) if baselines is None else 1)
    _require_one_for_each(inputs, given)
    return [_like(x, one) for x, one in zip(inputs, given, strict=True)]


def many_baselines_each(inputs: Sequence[Tensor], baselines: Any) -> list[Tensor]:
    """Return the baselines of each row of each input, shape (rows, baselines, ...).

    Parameters
    ----------
    inputs : sequence of torch.Tensor, each of shape (rows, ...)
    baselines : torch.Tensor, or tuple of these
        Of shape (baselines, ...), shared by all rows, or (rows, baselines, ...).

    Raises
    ------
    InputError
        If they do not fit.
    """
    given = baselines if isinstance(baselines, tuple) else (baselines,)
    _require_one_for_each(inputs, given)
    found: list[Tensor] = []
    for i, (x, one) in enumerate(zip(inputs, given, strict=True)):
        if isinstance(one, Tensor) and one.ndim == x.ndim:
            one = one.unsqueeze(0).expand(len(x), *one.shape)
        n: int | str = found[0].shape[1] if found else "baselines"
        if not isinstance(one, Tensor) or one.ndim != x.ndim + 1 or one.shape != (len(x), _count(one, n), *x.shape[1:]):
            met = f"of shape {tuple(given[i].shape)}" if isinstance(one, Tensor) else f"a {type(one).__name__}"
            raise InputError(
                f"baselines[{i}] is {met}: expected a tensor of shape {(n, *x.shape[1:])}, shared by all rows, "
                f"or {(len(x), n, *x.shape[1:])}."
            )
        found.append(one.to(x.device))
    return found


def target_of(target: Any, rows: int) -> Target:
    """Return the target that is meant, as :class:`seqlight.attribution.targets.Targets` takes it."""
    if target is None:
        return _the_only_one
    if isinstance(target, list):
        if len(target) != rows:
            raise InputError(f"target is a list of {len(target)}: expected one for each of {rows} rows.")
        return torch.tensor(target)
    if isinstance(target, Tensor) and target.numel() == 1:
        return int(target)
    found: Target = target
    return found


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function` with as many of `arguments` as it takes."""
    takes = inspect.signature(function).parameters.values()
    if any(one.kind is one.VAR_POSITIONAL for one in takes):
        return function(*arguments)
    places = [one for one in takes if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return function(*arguments[: len(places)])


def _require_one_for_each(inputs: Sequence[Tensor], baselines: Sequence[Any]) -> None:
    if len(inputs) != len(baselines):
        raise InputError(f"there are {len(inputs)} inputs and {len(baselines)} baselines: expected one for each.")


def _count(baselines: Tensor, wanted: int | str) -> int:
    """Return how many baselines there must be: as many as of the first input, and at least one."""
    return max(1, baselines.shape[1]) if isinstance(wanted, str) else wanted


def _like(x: Tensor, baseline: Any) -> Tensor:
    if baseline is None:
        return torch.zeros_like(x)
    if isinstance(baseline, int | float):
        return torch.full_like(x, baseline)
    if not isinstance(baseline, Tensor) or baseline.shape not in (x.shape, (1, *x.shape[1:])):
        met = f"of shape {tuple(baseline.shape)}" if isinstance(baseline, Tensor) else f"a {type(baseline).__name__}"
        raise InputError(f"a baseline is {met}: expected a number, or a tensor of shape {tuple(x.shape)} or one row.")
    return baseline.to(x.device).expand(x.shape)


def _the_only_one(output: Any) -> Tensor:
    if not isinstance(output, Tensor) or output[:1].numel() != 1:
        met = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise InputError(f"no target is given and the model returns {met}: expected one number for each row.")
    return output.flatten()
