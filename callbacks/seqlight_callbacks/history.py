"""What the epochs of a training gave, as little of it as a report needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight_callbacks.records import AttributionRecord, load

# Numbers by name, for an epoch.
Numbers = dict[str, float]


class History:
    """Attributions and logged numbers by epoch.

    Of attributions it keeps that of the character which is there: a number for each position, in float32.

    Parameters
    ----------
    sequences : torch.Tensor, shape (sequences, letters, positions)
        What was attributed.

    Examples
    --------
    >>> import torch
    >>> from seqlight_callbacks import AttributionRecord
    >>> from seqlight_callbacks.history import History
    >>> history = History(torch.eye(4).unsqueeze(0))
    >>> history.note(AttributionRecord(2, torch.eye(4).unsqueeze(0) / 2, torch.zeros(1)))
    >>> history.epochs, history.attributions(2).sum().item()
    ([2], 2.0)
    """

    def __init__(self, sequences: Tensor) -> None:
        self.sequences = sequences
        self.outputs: dict[int, Tensor] = {}
        self.numbers: dict[int, Numbers] = {}
        self._tracks: dict[int, Tensor] = {}

    @property
    def epochs(self) -> list[int]:
        """Those that were attributed, in order."""
        return sorted(self._tracks)

    def note(self, record: AttributionRecord) -> None:
        """Keep what a record has; the later of two of one epoch."""
        self._tracks[record.epoch] = record.attributions.sum(dim=1)
        self.outputs[record.epoch] = record.outputs

    def note_numbers(self, epoch: int, numbers: Mapping[str, Any]) -> None:
        """Keep what was logged in an epoch, those of a step aside."""
        found = {name: float(value) for name, value in numbers.items() if not name.endswith(("_step", "_epoch"))}
        self.numbers.setdefault(epoch, {}).update(found)

    def read(self, folder: Path, before: int) -> None:
        """Read the records of a folder that are of earlier epochs than `before` and not known, if they fit."""
        for path in sorted(folder.glob("epoch-*.npz")):
            record = load(path)
            fits = record.attributions.shape == self.sequences.shape
            if fits and record.epoch < before and record.epoch not in self._tracks:
                self.note(record)

    def attributions(self, epoch: int) -> Tensor:
        """Return those of an epoch, shape (sequences, letters, positions)."""
        return self.sequences * self._tracks[epoch].unsqueeze(1)

    def broken(self) -> list[int]:
        """Return the epochs whose attributions are not all finite."""
        return [epoch for epoch in self.epochs if not bool(torch.isfinite(self._tracks[epoch]).all())]

    def profiles(self) -> NDArray[np.float64]:
        """Return the share of positive attribution at each position, shape (epochs, positions)."""
        positive = [self._tracks[epoch].clamp_min(0).mean(dim=0) for epoch in self.epochs]
        means = torch.stack(positive).double().nan_to_num(0.0, 0.0, 0.0).numpy()
        shares: NDArray[np.float64] = means / np.maximum(means.sum(axis=1, keepdims=True), 1e-30)
        return shares

    def line(self, name: str) -> dict[int, float]:
        """Return what was logged under a name, by epoch."""
        return {epoch: numbers[name] for epoch, numbers in sorted(self.numbers.items()) if name in numbers}

    def names(self) -> list[str]:
        """Return what was logged, in the order in which it first was."""
        return list(dict.fromkeys(name for _, numbers in sorted(self.numbers.items()) for name in numbers))
