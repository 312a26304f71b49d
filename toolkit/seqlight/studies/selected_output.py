"""A model that returns one of several outputs as a table, which every implementation understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from seqlight.errors import InputError, kind_of


class SelectedOutput(nn.Module):
    """A model around another, which returns one of its outputs with shape (rows, targets).

    Parameters
    ----------
    model : torch.nn.Module
        Returns a tensor, or a tuple, list or mapping of tensors.
    output : int or str, optional
        Which of them: its number, or its key.

    Notes
    -----
    An output with more than two dimensions, such as a profile of shape (rows, tracks, bins), is averaged over all
    beyond the second.

    Examples
    --------
    >>> import torch
    >>> class Heads(nn.Module):
    ...     def forward(self, x):
    ...         return x, x.sum(dim=(1, 2))
    >>> SelectedOutput(Heads(), 1)(torch.ones(2, 4, 5)).shape, SelectedOutput(Heads(), 0)(torch.ones(2, 4, 5)).shape
    (torch.Size([2]), torch.Size([2, 4]))
    """

    def __init__(self, model: nn.Module, output: int | str | None = None) -> None:
        super().__init__()
        self.model, self.output = model, output

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the output, shape (rows,) or (rows, targets)."""
        found = self._select(self.model(*inputs))
        return found if found.ndim < 3 else found.flatten(2).mean(dim=2)

    def _select(self, returned: Any) -> Tensor:
        found = returned
        if self.output is not None:
            try:
                found = returned[self.output]
            except (LookupError, TypeError):
                raise InputError(
                    f"output is {self.output!r}, and {_describe(returned)}: {_expected(returned)}."
                ) from None
        if not isinstance(found, Tensor) or not found.ndim:
            raise InputError(f"{_describe(found)}: {_expected(found)}.")
        return found


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
