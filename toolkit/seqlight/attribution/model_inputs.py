"""The inputs that a model is called with, for some of the sequences at a time, on the device that it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlight.prediction.inputs import InputConversion, convert, to_device
from seqlight.sequence.checks import require_dense


@dataclass
class _SentRows:
    """The inputs of the sequences ``first <= i < last`` on the device."""

    first: int
    last: int
    explained: list[Tensor]
    further: list[Any]


class ModelInputs:
    """The explained inputs of a model, and the further ones, of which each row is sent to the device once.

    Parameters
    ----------
    explained : sequence of torch.Tensor, each of shape (sequences, ...)
        The inputs to explain.
    args : sequence
        Further inputs: tensors with a row for each sequence, which the references get too; anything else is passed on
        as it is.
    device : torch.device
        Where the model runs.

    Attributes
    ----------
    conversion : InputConversion
        How all of them are converted for the model.
    dtype : torch.dtype
        In which the model computes, known once it was borrowed.
    """

    def __init__(self, explained: Sequence[Tensor], args: Sequence[Any], device: torch.device) -> None:
        self.explained, self.args, self.device = tuple(explained), tuple(args), device
        for i, one in enumerate(self.args):
            if isinstance(one, Tensor):
                require_dense(one, f"args[{i}]")
        self.conversion = InputConversion(self.args, explained=len(self.explained))
        rows = len(self.explained[0])
        self._per_row = [isinstance(one, Tensor) and one.ndim > 0 and len(one) == rows for one in self.args]
        self.dtype = torch.get_default_dtype()
        self._sent: _SentRows | None = None

    def rows(self, first: int, last: int, n: int = 1) -> list[Tensor]:
        """Return the explained inputs of the sequences ``first <= i < last``, `n` times; with n = 1 not copied."""
        sent = self._send(first, last)
        mine = [one[first - sent.first : last - sent.first] for one in sent.explained]
        return [repeat_rows(one, n) for one in mine] if n > 1 else mine

    def further(self, first: int, last: int, n: int = 1) -> list[Any]:
        """Return the further inputs for `n` references of each sequence, as copies: a model may write to its inputs."""
        sent = self._send(first, last)
        return [
            repeat_rows(one[first - sent.first : last - sent.first], n) if own else _copy(one)
            for one, own in zip(sent.further, self._per_row, strict=True)
        ]

    def set_dtype(self, dtype: torch.dtype) -> None:
        """Set the dtype in which the model computes, and forget what was sent in another."""
        self.dtype, self._sent = dtype, None

    def convert(self, one: Tensor) -> Tensor:
        """Return rows of an explained input, or references, as the model takes them."""
        return convert(one, self.dtype, self.device)

    def send(self, references: Tensor) -> Tensor:
        """Return references on the device, in one copy; those of a larger dtype are sent as they are used."""
        return references if references.dtype.itemsize > self.dtype.itemsize else to_device(references, self.device)

    def _send(self, first: int, last: int) -> _SentRows:
        sent = self._sent
        if sent is None or not sent.first <= first <= last <= sent.last:
            mine = slice(first, last)
            inputs = [one.detach()[mine].contiguous() for one in self.explained]
            args = [
                one.detach()[mine] if own else one.detach() if isinstance(one, Tensor) else one
                for one, own in zip(self.args, self._per_row, strict=True)
            ]
            further = self.conversion.apply([*[None] * len(inputs), *args], self.dtype, self.device)[len(inputs) :]
            explained = [self.convert(one) for one in inputs]
            self._sent = sent = _SentRows(first, last, explained, further)
        return sent


def repeat_rows(one: Tensor, n: int) -> Tensor:
    """Return a copy of all rows, `n` times, copy after copy."""
    return one.repeat(n, *[1] * (one.ndim - 1)) if n > 1 else one.clone(memory_format=torch.contiguous_format)


def _copy(one: Any) -> Any:
    return one.clone() if isinstance(one, Tensor) else one
