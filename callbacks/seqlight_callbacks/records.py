"""What a callback keeps of an epoch, in memory and as a file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import SeqlightWarning
from seqlight.storage.whole import whole


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


TENSORS = ("attributions", "outputs", "reference_outputs", "standard_error")


def save(record: AttributionRecord, path: Path) -> None:
    """Write a record as npz; under its final name it is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(record, name) for name in TENSORS}
    arrays = {name: one.numpy() for name, one in tensors.items() if one is not None}
    with whole(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, epoch=record.epoch, **arrays)


def load(path: Path) -> AttributionRecord:
    """Read what :func:`save` wrote."""
    with np.load(path) as stored:
        tensors = {name: torch.from_numpy(stored[name]) for name in TENSORS if name in stored}
        return AttributionRecord(int(stored["epoch"]), **tensors)


def tell_of_others(folder: Path, suffix: str = ".npz", what: str = "records") -> None:
    """Warn of the epochs of another training, among which those of a new one would lie."""
    found = sum(1 for _ in folder.glob(f"epoch-*{suffix}"))
    if found:
        warnings.warn(
            f"{folder} holds {found} {what} of an earlier training, and those of this one replace only their "
            "namesakes: give each training its own `out`, or delete them.",
            SeqlightWarning,
            stacklevel=3,
        )
