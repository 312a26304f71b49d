"""What a callback keeps of an epoch, in memory and as a file."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import InputError, SeqlightWarning
from seqlight.files.atomic import atomic_write


@dataclass(frozen=True)
class AttributionRecord:
    """What one epoch gave.

    Attributes
    ----------
    epoch : int
        How many epochs the model was trained, the one that just ended included; 0 for the untrained model.
    attributions : torch.Tensor, float32, shape (sequences, letters, positions)
        Of the characters that are there, averaged over references.
    outputs : torch.Tensor, shape (sequences,)
        The model's output on the sequences.
    reference_outputs : torch.Tensor or None, shape (sequences, references)
        The model's output on their references; None for a method that has none.
    standard_error : torch.Tensor or None, shape (sequences, positions)
        Of the attributions, over references; None for a method without, or a single reference.
    step : int or None
        How many steps the optimizer had made; None where nobody knows, as in files of earlier versions.
    stage : "fit", "validate" or "test"
        What the Trainer was doing.

    Examples
    --------
    >>> import torch
    >>> from seqlight_callbacks import AttributionRecord
    >>> record = AttributionRecord(1, torch.zeros(2, 4, 10), torch.zeros(2), torch.zeros(2, 5))
    >>> record.epoch
    1
    """

    epoch: int
    attributions: Tensor
    outputs: Tensor
    reference_outputs: Tensor | None = None
    standard_error: Tensor | None = None
    step: int | None = None
    stage: str = "fit"

    @property
    def name(self) -> str:
        """What files of it are called, as in ``epoch-001-step-00000012``."""
        return name_of(self.epoch, self.step, self.stage)

    @property
    def when(self) -> str:
        """What to call it in a message or a picture."""
        return f"epoch {self.epoch}" + ("" if self.step is None else f", step {self.step}")


def name_of(epoch: int, step: int | None = None, stage: str = "fit") -> str:
    """Return what files of an epoch and step are called, in the order of a training.

    Examples
    --------
    >>> name_of(1, 12), name_of(1), name_of(1, 12, "validate")
    ('epoch-001-step-00000012', 'epoch-001', 'validate-epoch-001-step-00000012')
    """
    ahead = "" if stage == "fit" else f"{stage}-"
    return f"{ahead}epoch-{epoch:03d}" + ("" if step is None else f"-step-{step:08d}")


TENSORS = ("attributions", "outputs", "reference_outputs", "standard_error")


def save(record: AttributionRecord, path: Path) -> None:
    """Write a record as npz; under its final name it is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(record, name) for name in TENSORS}
    arrays = {name: one.numpy() for name, one in tensors.items() if one is not None}
    with atomic_write(path) as partial, partial.open("wb") as file:
        if record.step is not None:
            arrays["step"] = np.asarray(record.step)
        np.savez_compressed(file, epoch=record.epoch, stage=record.stage, **arrays)


def load(path: Path) -> AttributionRecord:
    """Read what :func:`save` wrote, now or in an earlier version.

    Raises
    ------
    InputError
        If the file is damaged, or something else.
    """
    try:
        with path.open("rb") as file, np.load(file) as stored:
            tensors = {name: torch.from_numpy(stored[name]) for name in TENSORS if name in stored}
            step = int(stored["step"]) if "step" in stored else None
            stage = str(stored["stage"]) if "stage" in stored else "fit"
            return AttributionRecord(int(stored["epoch"]), **tensors, step=step, stage=stage)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as a record ({error}): it is damaged, or something else.") from error


def load_whole(path: Path) -> AttributionRecord | None:
    """Read a record; of one that cannot be read only warn, for a training must not end by it."""
    try:
        return load(path)
    except InputError as error:
        warnings.warn(f"{error} It is left out.", SeqlightWarning, stacklevel=3)
        return None
