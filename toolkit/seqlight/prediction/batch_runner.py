"""Run a model over batches: converted, probed for rows that depend on others, and in parts where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.inputs import InputConversion
from seqlight.prediction.row_independence.probe import RowProbe


@dataclass(frozen=True)
class BatchRunner:
    """Runs a model over batches.

    Attributes
    ----------
    probe : RowProbe
        Has the model, and keeps a row to run again.
    conversion : InputConversion
        How inputs are converted for the model.
    func : callable or None
        Applied to the output of each batch.
    size : BatchSize
        How many rows go through the model at a time.
    """

    probe: RowProbe
    conversion: InputConversion
    func: Callable[[Any], Any] | None
    size: BatchSize

    def outputs(self, inputs: Sequence[Tensor], done: int, dtype: torch.dtype) -> Iterator[tuple[Any, int]]:
        """Yield the output for a batch, or its parts in order, each with the number of its rows.

        Parameters
        ----------
        inputs : sequence of torch.Tensor, each with a row for each row of the batch
            X first, as the caller gave them.
        done : int
            The number of rows in all batches before.
        dtype : torch.dtype
            The dtype in which the model computes.
        """
        # The whole batch decides how its parts are converted: few rows of a mask may look like one-hot sequences.
        conversion = self.conversion.for_batch(inputs)
        return self.size.parts(0, len(inputs[0]), partial(self._run, conversion, inputs, done, dtype))

    def _run(
        self,
        conversion: InputConversion,
        inputs: Sequence[Tensor],
        done: int,
        dtype: torch.dtype,
        first: int,
        last: int,
    ) -> Any:
        """Return the output for the rows ``first <= row < last`` of a batch."""
        some = [one[first:last] for one in inputs]
        output = self.probe.run(_copy_unconverted(conversion.apply(some, dtype, self.size.device), some), done + first)
        return output if self.func is None else self.func(output)


def _copy_unconverted(converted: Sequence[Tensor], given: Sequence[Tensor]) -> list[Tensor]:
    """Return the converted inputs, with copies of those that needed no conversion: a model may write to its inputs."""
    return [one.clone() if one is other else one for one, other in zip(converted, given, strict=True)]
