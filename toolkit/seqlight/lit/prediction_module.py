"""Predictions of any model, as a LightningModule for ``trainer.predict``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import lightning.pytorch as L
import torch
from torch import nn

from seqlight.lit.model_factory import as_model
from seqlight.lit.row_batches import model_inputs
from seqlight.lit.sharded_data import ShardedDataModule
from seqlight.prediction.arguments import HALF, as_dtype, autocast
from seqlight.prediction.batch_runner import BatchRunner
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype
from seqlight.prediction.borrowed_model.memory_pages import raise_mmap_threshold
from seqlight.prediction.inputs import InputConversion
from seqlight.prediction.outputs import OutputCollector
from seqlight.prediction.row_independence.probe import RowProbe
from seqlight.results.fingerprints import describe_argument, require_identity
from seqlight.sequence.checks import require_count


class PredictModule(L.LightningModule):
    """Any model, to predict with on any number of devices: ``trainer.predict(PredictModule(model), ...)``.

    Parameters
    ----------
    model : torch.nn.Module or str
        Called as ``model(X, *args)``; or the name of its class, ``"package.module.Class"``.
    func : callable, optional
        Applied to the output of each batch.
    dtype : torch.dtype or str, optional
        float16 and bfloat16 run under autocast, any other with the parameters converted to it. None: the precision
        of the Trainer.
    inputs : int
        How many of the tensors of a row the model takes. The rest, such as labels, is ignored.
    checkpoint : str or path, optional
        Weights to load: a state dict or a checkpoint of Lightning.
    arguments : mapping, optional
        Arguments for the class of the model, if it is given by name.
    identity : str, optional
        Replaces the code of model and `func` in what identifies a run, as in :func:`seqlight.run`.
    trusted : bool
        Load the checkpoint with pickle, which can run any program in it: only for a file that you trust and that cannot
        be read otherwise. If False, only weights are read.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> import torch
    >>> from seqlight.lit import PredictModule
    >>> module = PredictModule(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3)))
    >>> module.predict_step(torch.zeros(2, 4, 20)).shape
    torch.Size([2, 3])
    """

    sends_inputs = True  # so ShardedDataModule leaves batches on the CPU

    def __init__(
        self,
        model: nn.Module | str,
        func: Callable[[Any], Any] | None = None,
        dtype: torch.dtype | str | None = None,
        inputs: int = 1,
        checkpoint: str | os.PathLike[str] | None = None,
        arguments: Mapping[str, Any] | None = None,
        identity: str | None = None,
        trusted: bool = False,
    ) -> None:
        super().__init__()
        self.model = as_model(model, checkpoint, arguments, trusted)
        self.func, self.kind = func, as_dtype(dtype)
        self.inputs = require_count(inputs, "inputs", least=1)
        self.identity = require_identity(identity)
        self._loan = contextlib.ExitStack()
        self._conversion: InputConversion | None = None
        self._size: BatchSize | None = None  # how many rows fit into memory, learned during a run
        self._check_rows = False  # True until the first batch of a run was checked for rows that depend on each other

    def forward(self, *inputs: Any) -> Any:
        """Return the output of the model."""
        return self.model(*inputs)

    def on_predict_start(self) -> None:
        """Convert the parameters to `dtype`."""
        raise_mmap_threshold(self.device)
        self._conversion, self._check_rows = InputConversion([None] * self.inputs), True
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        # Rows that others have put into batches go through the model as these are.
        auto = isinstance(data, ShardedDataModule) and data.asked_batch_size == "auto"
        self._size = BatchSize("auto" if auto else None, self.device, otherwise=sys.maxsize)
        if self.kind is not None and self.kind not in HALF:
            self._loan.enter_context(borrow(self.model, self.device, self.kind))

    def on_predict_end(self) -> None:
        """Restore the model, and warn of batches that did not fit into memory."""
        self._conversion, self._check_rows = None, False
        self._loan.close()
        if self._size is not None:
            self._size.warn_if_reduced(stacklevel=2)
            self._size = None

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Any:
        """Return the output for a batch, which is converted for the model as in :func:`seqlight.predict`.

        Where memory has no room for all of its rows at a time, they go through the model in parts, whose outputs are
        collected on the CPU.
        """
        conversion, inputs = self._conversion or InputConversion([None] * self.inputs), model_inputs(batch, self.inputs)
        size = self._size or BatchSize(None, self.device)
        with autocast(self.device, self.kind):
            probe = RowProbe(self.model, self._check_rows)
            runner = BatchRunner(probe, conversion, self.func, size)
            result = _join(runner.outputs(inputs, 0, floating_dtype(self.model, inputs[0])), len(inputs[0]))
            if self._check_rows:
                self._check_rows = False
                # Borrowed, so that the buffers of the model and the random generators are as without the check.
                with borrow(self.model, self.device):
                    probe.warn_if_dependent(self.func, result, stacklevel=2)
            return result

    def method(self) -> dict[str, Any]:
        """Return a description of what this module computes, for the manifest of a run."""
        func = describe_argument(self.func, "func", self.identity)
        return {"name": "predict", "func": func, "dtype": describe_argument(self.kind), "inputs": self.inputs}


def _join(parts: Iterator[tuple[Any, int]], rows: int) -> Any:
    """Return the output for a batch of `rows`: that of the model if it is in one part, else collected on the CPU."""
    output, n = next(parts)
    if n == rows:
        return output
    collector = OutputCollector(rows)
    collector.add(output, n)
    del output
    for output, n in parts:
        collector.add(output, n)
        del output
    return collector.result()
