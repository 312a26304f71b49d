"""What a callback keeps of an epoch, in memory and as a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqlight.storage.whole import whole


@dataclass(frozen=True)
class AttributionRecord:
    """What one epoch gave.

    Attributes
    ----------
    epoch : int
        How many epochs the model was trained, the one that was just validated included; 0 for the untrained model.
    attributions : torch.Tensor, float32, shape (sequences, letters, positions)
        Of the characters that are there, averaged over references.
    outputs : torch.Tensor, shape (sequences,)
        The model's output on the sequences.
    reference_outputs : torch.Tensor, shape (sequences, references)
        The model's output on their references.

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
    reference_outputs: Tensor


def save(record: AttributionRecord, path: Path) -> None:
    """Write a record as npz; under its final name it is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            epoch=record.epoch,
            attributions=record.attributions.numpy(),
            outputs=record.outputs.numpy(),
            reference_outputs=record.reference_outputs.numpy(),
        )


def load(path: Path) -> AttributionRecord:
    """Read what :func:`save` wrote."""
    with np.load(path) as stored:
        names = ("attributions", "outputs", "reference_outputs")
        return AttributionRecord(int(stored["epoch"]), *(torch.from_numpy(stored[name]) for name in names))
