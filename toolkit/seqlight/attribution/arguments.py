"""The arguments that all attribution methods share, checked in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from seqlight.prediction.arguments import as_dtype, choose_device, require_inputs, require_module
from seqlight.prediction.batch_size import AskedBatchSize, BatchSize
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.float32_precision import Precision, require_precision
from seqlight.prediction.inputs import InputConversion, to_device


@dataclass(frozen=True)
class CheckedArguments:
    """A model, its inputs, and how to run it on some of them.

    Attributes
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, without a gradient.
    args : tuple of torch.Tensor
        Further inputs with a row for each sequence.
    size : BatchSize
        How many rows go through the model at a time.
    dtype : torch.dtype or None
        To compute in; None for the default of the method.
    device : torch.device
        Where to run.
    precision : "tf32" or None
        How exactly float32 is computed there.
    """

    model: nn.Module
    X: Tensor
    args: tuple[Tensor, ...]
    size: BatchSize
    dtype: torch.dtype | None
    device: torch.device
    precision: Precision = None

    @cached_property
    def _conversion(self) -> InputConversion:
        return InputConversion(self.args, explained=1)

    def inputs(self, rows: Tensor, X: Tensor | None = None) -> list[Tensor]:
        """Return the inputs of some sequences as the borrowed model takes them, with `X` in place of ``self.X[rows]``.

        They may share memory with the caller's tensors: a model that writes to its inputs needs copies.
        """
        some = [self._select(self.X, rows) if X is None else X, *(self._select(arg, rows) for arg in self.args)]
        return self._conversion.apply(some, floating_dtype(self.model, self.X), self.device)

    @staticmethod
    def _select(one: Tensor, rows: Tensor) -> Tensor:
        return one[to_device(rows, one.device)]


def check_arguments(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None,
    batch_size: AskedBatchSize,
    dtype: torch.dtype | str | None,
    device: str | torch.device | None,
    precision: object = None,
) -> CheckedArguments:
    """Return the arguments in the form that the methods use; InputError if one of them cannot be used."""
    require_module(model)
    X, inputs = require_inputs(X, args)
    where, exactness = choose_device(device, model), require_precision(precision)
    return CheckedArguments(model, X, inputs, BatchSize(batch_size, where), as_dtype(dtype), where, exactness)
