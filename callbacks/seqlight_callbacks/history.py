"""What the steps of a training gave, as little of it as a report needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight_callbacks.records import AttributionRecord, load_whole

# Numbers by name, for a step.
Numbers = dict[str, float]


class History:
    """Attributions and logged numbers by step.

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
    >>> history.note(AttributionRecord(2, torch.eye(4).unsqueeze(0) / 2, torch.zeros(1), step=40))
    >>> history.steps, history.attributions(40).sum().item(), history.label(40)
    ([40], 2.0, 'epoch 2, step 40')
    """

    def __init__(self, sequences: Tensor) -> None:
        self.sequences = sequences
        self.outputs: dict[int, Tensor] = {}
        self.numbers: dict[int, Numbers] = {}
        self._tracks: dict[int, Tensor] = {}
        self._epochs: dict[int, int] = {0: 0}
        self._ends: dict[int, int] = {0: 0}

    @property
    def steps(self) -> list[int]:
        """Those at which was attributed, in order."""
        return sorted(self._tracks)

    @property
    def epochs(self) -> list[int]:
        """The epoch of each of them."""
        return [self._epochs[step] for step in self.steps]

    def note(self, record: AttributionRecord, step: int | None = None) -> None:
        """Keep what a record has; the later of two of one step.

        Parameters
        ----------
        record : AttributionRecord
            Without a step, as in files of earlier versions, it is taken for the end of its epoch.
        step : int, optional
            For such a one; by default the number of the epoch.
        """
        if record.step is None:
            step = record.epoch if step is None else step
            self.end(record.epoch, step)
        else:
            step = record.step
        # Of two epochs with a validation at one step, between which nothing was learned, the first is named.
        self._epochs.setdefault(step, record.epoch)
        self._tracks[step] = record.attributions.sum(dim=1)
        self.outputs[step] = record.outputs

    def note_numbers(self, epoch: int, step: int, numbers: Mapping[str, Any]) -> None:
        """Keep what was logged at a step, the values of single batches aside."""
        found = {name: float(value) for name, value in numbers.items() if not name.endswith(("_step", "_epoch"))}
        self._epochs.setdefault(step, epoch)
        self.numbers.setdefault(step, {}).update(found)

    def end(self, epoch: int, step: int) -> None:
        """Note that an epoch ended at a step."""
        self._epochs.setdefault(step, epoch)
        self._ends[epoch] = step

    def epoch(self, step: int) -> int:
        """Return in which epoch a step was, the one that it ended included."""
        return self._epochs[step]

    def label(self, step: int) -> str:
        """Return what a reader is told of a step: after which epoch it was, or where in it."""
        epoch = self._epochs[step]
        if self._ends.get(epoch) != step:
            return f"epoch {epoch}, step {step}"
        return f"after epoch {epoch}" if epoch else "before training"

    @property
    def by_epochs(self) -> bool:
        """Whether all that was attributed is of ends of epochs."""
        return all(self._ends.get(epoch) == step for step, epoch in zip(self.steps, self.epochs, strict=True))

    def read(self, folder: Path, epoch: int, step: int) -> None:
        """Read the records of a folder that are not known, fit, and are no later than an epoch and a step."""
        for path in sorted(folder.glob("epoch-*.npz")):
            record = load_whole(path)
            if record is None or record.attributions.shape != self.sequences.shape:
                continue
            # Before files said at which step they were made, there was one an epoch, at its end.
            at = round(step * record.epoch / max(epoch, 1)) if record.step is None else record.step
            if at <= step and at not in self._tracks:
                self.note(record, at)

    def attributions(self, step: int) -> Tensor:
        """Return those of a step, shape (sequences, letters, positions)."""
        return self.sequences * self._tracks[step].unsqueeze(1)

    def broken(self) -> list[int]:
        """Return the steps whose attributions are not all finite."""
        return [step for step in self.steps if not bool(torch.isfinite(self._tracks[step]).all())]

    def profiles(self) -> NDArray[np.float64]:
        """Return the share of positive attribution at each position, shape (steps, positions)."""
        positive = [self._tracks[step].clamp_min(0).mean(dim=0) for step in self.steps]
        means = torch.stack(positive).double().nan_to_num(0.0, 0.0, 0.0).numpy()
        shares: NDArray[np.float64] = means / np.maximum(means.sum(axis=1, keepdims=True), 1e-30)
        return shares

    def line(self, name: str) -> dict[int, float]:
        """Return what was logged under a name, by step."""
        return {step: numbers[name] for step, numbers in sorted(self.numbers.items()) if name in numbers}

    def names(self) -> list[str]:
        """Return what was logged, in the order in which it first was."""
        return list(dict.fromkeys(name for _, numbers in sorted(self.numbers.items()) for name in numbers))

    def state(self) -> dict[str, Any]:
        """Return the numbers as plain dicts: a few for each step, which every checkpoint can hold."""
        return {"numbers": self.numbers, "epochs": self._epochs, "ends": self._ends}

    def load(self, state: Mapping[str, Any], epoch: int, step: int) -> None:
        """Take what :meth:`state` gave, where a training goes on after `epoch` and `step`."""
        numbers = {int(at): dict(found) for at, found in state.get("numbers", {}).items()}
        if "epochs" not in state:
            # Of an earlier version, which had them by epoch.
            at = {one: round(step * one / max(epoch, 1)) for one in numbers}
            state = {"epochs": {at[one]: one for one in numbers}, "ends": at}
            numbers = {at[one]: found for one, found in numbers.items()}
        self.numbers.update(numbers)
        self._epochs.update({int(one): int(its) for one, its in state["epochs"].items()})
        self._ends.update({int(one): int(its) for one, its in state["ends"].items()})
