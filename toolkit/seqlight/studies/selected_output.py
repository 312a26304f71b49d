"""A model that returns one of several outputs as a table, which every implementation understands."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, kind_of
from seqlight.results.identity.description import Description
from seqlight.targets.contrast import SingleTarget, Target
from seqlight.targets.registry import read_text

M = TypeVar("M", bound=nn.Module)


def select_output(model: M, output: int | str | None = None) -> M:
    """Return a model with the same modules under the same names that returns one of its outputs as a table.

    Parameters
    ----------
    model : torch.nn.Module
        Returns a tensor, or a tuple, list or mapping of tensors. It is not changed; both share their weights.
    output : int or str, optional
        Which of them: its number, or its key.

    Returns
    -------
    torch.nn.Module
        Returns shape (rows,) or (rows, targets). An output with more than two dimensions, such as a profile of shape
        (rows, tracks, bins), is averaged over all beyond the second.

    Examples
    --------
    >>> import torch
    >>> class Heads(nn.Module):
    ...     def forward(self, x):
    ...         return x, x.sum(dim=(1, 2))
    >>> [select_output(Heads(), output)(torch.ones(2, 4, 5)).shape for output in (0, 1)]
    [torch.Size([2, 4]), torch.Size([2])]
    """
    base = type(model)

    def forward(self: nn.Module, *inputs: Tensor) -> Tensor:
        return as_table(base.forward(self, *inputs), output)

    return _with_forward(model, forward, output)


def what_is_read(model: nn.Module) -> list[Any]:
    """Return descriptions of what these functions made a model return, in order; none for any other model.

    Examples
    --------
    >>> what_is_read(select_output(nn.Flatten(), 1))
    [1]
    """
    return list(getattr(type(model), "_what_is_read", ()))


def select_target(model: M, target: SingleTarget) -> M:
    """Return a model with the same modules under the same names that returns what a target reads, shape (rows, 1).

    Parameters
    ----------
    model : torch.nn.Module
        It is not changed; both share their weights.
    target : tuple of int, callable, Contrast or str
        A single target of :func:`seqlight.attribute`, the same for all rows.

    Raises
    ------
    InputError
        If it is no such target, or holds something constant, which other implementations cannot.
    """
    meant: Target = read_text(target)
    base, checked = type(model), Targets(meant, 1).without_constants("a study")
    if checked.several or isinstance(checked.each[0], Tensor):
        raise InputError(f"target is {kind_of(meant)}: expected one target, the same for all sequences.")

    def forward(self: nn.Module, *inputs: Tensor) -> Tensor:
        return checked.read(base.forward(self, *inputs), torch.empty(len(inputs[0]), device="cpu"))

    return _with_forward(model, forward, Description("target", strict=False).describe(meant))


def _with_forward(model: M, forward: Callable[..., Tensor], described: Any) -> M:
    """Return a model with another forward, which is described as `described`."""
    # A subclass rather than a module around the model, whose name would come before that of every module.
    base = type(model)
    more = {"forward": forward, "__doc__": base.__doc__, "_what_is_read": (*what_is_read(model), described)}
    found = copy.copy(model)
    found.__class__ = type(base.__name__, (base,), more)
    return found


def as_table(returned: Any, output: int | str | None) -> Tensor:
    """Return an output of a model with shape (rows,) or (rows, targets); InputError, with the choice, if it is none."""
    found = returned
    if output is not None:
        try:
            found = returned[output]
        except (LookupError, TypeError):
            raise InputError(f"output is {output!r}, and {_describe(returned)}: {_expected(returned)}.") from None
    if not isinstance(found, Tensor) or not found.ndim:
        raise InputError(f"{_describe(found)}: {_expected(found)}.")
    return found if found.ndim < 3 else found.flatten(2).mean(dim=2)


def _describe(returned: Any) -> str:
    if isinstance(returned, Mapping):
        return f"the model returns a mapping with {', '.join(map(repr, returned))}"
    if isinstance(returned, tuple | list):
        return f"the model returns {kind_of(returned)} of {len(returned)}"
    return f"the model returns {kind_of(returned)}"


def _expected(returned: Any) -> str:
    if isinstance(returned, Mapping):
        return "give one of these keys as `output`"
    if isinstance(returned, tuple | list):
        return f"give a number from 0 to {len(returned) - 1} as `output`"
    return "expected a tensor with a row for each sequence"
