"""A model that returns one of several outputs as a table, which every implementation understands."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from seqlight.errors import InputError, kind_of

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

    # A subclass rather than a module around the model, whose name would come before that of every module.
    selecting = type(base.__name__, (base,), {"forward": forward, "__doc__": base.__doc__})
    found = copy.copy(model)
    found.__class__ = selecting
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
