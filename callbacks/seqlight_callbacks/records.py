"""The record of one attribution of the model, in memory and as an npz file."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import InputError, SeqlightWarning
from seqlight.files.atomic import atomic_write
from seqlight_callbacks.tables import write_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class AttributionRecord:
    """The attributions of all sequences at one point of a training.

    Attributes
    ----------
    epoch : int
        How many epochs the model has been trained for, including one that is just ending; 0 for the untrained model.
    attributions : torch.Tensor, float32, shape (sequences, letters, positions)
        Of the characters that are present, averaged over references.
    outputs : torch.Tensor, shape (sequences,)
        The model's outputs for the sequences.
    reference_outputs : torch.Tensor or None, shape (sequences, references)
        The model's outputs for their references; None for a method without references.
    standard_error : torch.Tensor or None, shape (sequences, positions)
        Of the attributions, over references; None for a method without references, or with a single one.
    step : int or None
        How many steps the optimizer had made; None if unknown, as in files of earlier versions.
    stage : "fit", "validate" or "test"
        What the Trainer was doing.
    hypothetical : torch.Tensor or None, float32, shape (sequences, letters, positions)
        What every letter would contribute; not in files, so None for a record that was read from one.
    ledger : pandas.DataFrame or None
        Which share of the output differences goes through each module, if that was asked for; in a file of its own.

    Examples
    --------
    >>> import torch
    >>> from seqlight_callbacks import AttributionRecord
    >>> record = AttributionRecord(1, torch.zeros(2, 4, 10), torch.zeros(2), torch.zeros(2, 5))
    >>> record
    AttributionRecord of fit, epoch 1
      attributions: (2, 4, 10) float32
      outputs: (2,) float32
      reference_outputs: (2, 5) float32
    """

    epoch: int
    attributions: Tensor
    outputs: Tensor
    reference_outputs: Tensor | None = None
    standard_error: Tensor | None = None
    step: int | None = None
    stage: str = "fit"
    hypothetical: Tensor | None = None
    ledger: pd.DataFrame | None = None

    def __repr__(self) -> str:
        tensors = {name: getattr(self, name) for name in (*TENSORS, "hypothetical")}
        lines = [
            f"  {name}: {tuple(one.shape)} {str(one.dtype).removeprefix('torch.')}"
            for name, one in tensors.items()
            if one is not None
        ]
        lines += [] if self.ledger is None else [f"  ledger: {len(self.ledger)} rows"]
        return "\n".join([f"AttributionRecord of {self.stage}, {self.when}", *lines])

    @property
    def name(self) -> str:
        """The name of its files, such as ``epoch-001-step-00000012``."""
        return record_name(self.epoch, self.step, self.stage)

    @property
    def when(self) -> str:
        """Its epoch and step, for messages and figures."""
        return f"epoch {self.epoch}" + ("" if self.step is None else f", step {self.step}")


def record_name(epoch: int, step: int | None = None, stage: str = "fit") -> str:
    """Return the name of the files of an epoch and step; names sort in the order of the training.

    Examples
    --------
    >>> record_name(1, 12), record_name(1), record_name(1, 12, "validate")
    ('epoch-001-step-00000012', 'epoch-001', 'validate-epoch-001-step-00000012')
    """
    prefix = "" if stage == "fit" else f"{stage}-"
    return f"{prefix}epoch-{epoch:03d}" + ("" if step is None else f"-step-{step:08d}")


TENSORS = ("attributions", "outputs", "reference_outputs", "standard_error")


def save_record(record: AttributionRecord, path: Path) -> None:
    """Write a record as npz, atomically: under its final name the file is always complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(record, name) for name in TENSORS}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}
    with atomic_write(path) as partial, partial.open("wb") as file:
        if record.step is not None:
            arrays["step"] = np.asarray(record.step)
        np.savez_compressed(file, epoch=record.epoch, stage=record.stage, **arrays)


def save_ledger(record: AttributionRecord, path: Path) -> None:
    """Write the ledger of a record as CSV, atomically, with its epoch and step in the first columns."""
    assert record.ledger is not None
    table = record.ledger.copy()
    table.insert(0, "step", record.step)
    table.insert(0, "epoch", record.epoch)
    write_table(table, path)


def load_record(path: Path) -> AttributionRecord:
    """Read a file that :func:`save_record` wrote, in this or an earlier version.

    Raises
    ------
    InputError
        If the file is damaged, or is not a record.
    """
    try:
        with path.open("rb") as file, np.load(file) as stored:
            tensors: dict[str, Any] = {name: torch.from_numpy(stored[name]) for name in TENSORS if name in stored}
            step = int(stored["step"]) if "step" in stored else None
            stage = str(stored["stage"]) if "stage" in stored else "fit"
            return AttributionRecord(int(stored["epoch"]), **tensors, step=step, stage=stage)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as a record ({error}): it is damaged, or is not a record.") from error


def load_record_or_warn(path: Path) -> AttributionRecord | None:
    """Read a record; warn and return None if it cannot be read, as that must not end a training."""
    try:
        return load_record(path)
    except InputError as error:
        warnings.warn(f"{error} It is left out.", SeqlightWarning, stacklevel=3)
        return None
