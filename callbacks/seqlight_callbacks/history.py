"""The history of a training: as much of its records and logged numbers as a report needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight_callbacks.records import AttributionRecord, load_record_or_warn


class History:
    """Attributions and logged numbers by step.

    Of the attributions it keeps those of the letters that are present: one number per position, in float32.

    Parameters
    ----------
    sequences : torch.Tensor, shape (sequences, letters, positions)
        The sequences of the records.

    Attributes
    ----------
    outputs : dict of int to torch.Tensor, shape (sequences,)
        The outputs for the sequences, by step.
    scalars : dict of int to dict of str to float
        The logged numbers by step and name.

    Examples
    --------
    >>> import torch
    >>> from seqlight_callbacks import AttributionRecord
    >>> from seqlight_callbacks.history import History
    >>> history = History(torch.eye(4).unsqueeze(0))
    >>> history.add_record(AttributionRecord(2, torch.eye(4).unsqueeze(0) / 2, torch.zeros(1), step=40))
    >>> history.steps, history.attributions(40).sum().item(), history.label(40)
    ([40], 2.0, 'epoch 2, step 40')
    """

    def __init__(self, sequences: Tensor) -> None:
        self.sequences = sequences
        self.outputs: dict[int, Tensor] = {}
        self.scalars: dict[int, dict[str, float]] = {}
        self._tracks: dict[int, Tensor] = {}
        self._epochs: dict[int, int] = {0: 0}
        self._ends: dict[int, int] = {0: 0}

    @property
    def steps(self) -> list[int]:
        """The steps that have a record, in order."""
        return sorted(self._tracks)

    @property
    def epochs(self) -> list[int]:
        """The epoch of each of these steps."""
        return [self._epochs[step] for step in self.steps]

    def add_record(self, record: AttributionRecord, step: int | None = None) -> None:
        """Keep what is needed of a record; of two at the same step, the later one counts.

        Parameters
        ----------
        record : AttributionRecord
            One without a step, as in files of earlier versions, is taken to be of the end of its epoch.
        step : int, optional
            The step of such a record; by default the number of its epoch.
        """
        if record.step is None:
            step = record.epoch if step is None else step
            self.end_epoch(record.epoch, step)
        else:
            step = record.step
        # Two epochs can have a validation at the same step if nothing was learned in between: the first names it.
        self._epochs.setdefault(step, record.epoch)
        self._tracks[step] = record.attributions.sum(dim=1)
        self.outputs[step] = record.outputs

    def add_scalars(self, epoch: int, step: int, scalars: Mapping[str, Any]) -> None:
        """Keep the numbers logged at a step, except those of single batches."""
        found = {name: float(value) for name, value in scalars.items() if not name.endswith(("_step", "_epoch"))}
        self._epochs.setdefault(step, epoch)
        self.scalars.setdefault(step, {}).update(found)

    def end_epoch(self, epoch: int, step: int) -> None:
        """Remember at which step an epoch ended."""
        self._epochs.setdefault(step, epoch)
        self._ends[epoch] = step

    def epoch(self, step: int) -> int:
        """Return the epoch of a step; a step that ends an epoch belongs to it."""
        return self._epochs[step]

    def label(self, step: int) -> str:
        """Return what to call a step: after which epoch it was, or where in the epoch."""
        epoch = self._epochs[step]
        if self._ends.get(epoch) != step:
            return f"epoch {epoch}, step {step}"
        return f"after epoch {epoch}" if epoch else "before training"

    @property
    def only_epoch_ends(self) -> bool:
        """Whether every record was made at the end of an epoch."""
        return all(self._ends.get(epoch) == step for step, epoch in zip(self.steps, self.epochs, strict=True))

    def read_folder(self, folder: Path, epoch: int, step: int) -> None:
        """Add the records in a folder up to an epoch and a step, except those of other shapes or already known."""
        for path in sorted(folder.glob("epoch-*.npz")):
            record = load_record_or_warn(path)
            if record is None or record.attributions.shape != self.sequences.shape:
                continue
            # Before files had a step, there was one per epoch, made at its end.
            at = round(step * record.epoch / max(epoch, 1)) if record.step is None else record.step
            if at <= step and at not in self._tracks:
                self.add_record(record, at)

    def attributions(self, step: int) -> Tensor:
        """Return the attributions at a step, shape (sequences, letters, positions)."""
        return self.sequences * self._tracks[step].unsqueeze(1)

    def non_finite_steps(self) -> list[int]:
        """Return the steps at which not all attributions are finite."""
        return [step for step in self.steps if not bool(torch.isfinite(self._tracks[step]).all())]

    def profiles(self) -> NDArray[np.float64]:
        """Return the share of positive attribution at each position, shape (steps, positions)."""
        positive = [self._tracks[step].clamp_min(0).mean(dim=0) for step in self.steps]
        means = torch.stack(positive).double().nan_to_num(0.0, 0.0, 0.0).numpy()
        shares: NDArray[np.float64] = means / np.maximum(means.sum(axis=1, keepdims=True), 1e-30)
        return shares

    def curve(self, name: str) -> dict[int, float]:
        """Return the values logged under a name, by step."""
        return {step: scalars[name] for step, scalars in sorted(self.scalars.items()) if name in scalars}

    def scalar_names(self) -> list[str]:
        """Return the names of all logged numbers, in the order in which they first appeared."""
        return list(dict.fromkeys(name for _, scalars in sorted(self.scalars.items()) for name in scalars))

    def state_dict(self) -> dict[str, Any]:
        """Return the logged numbers as plain dicts, small enough for every checkpoint."""
        return {"numbers": self.scalars, "epochs": self._epochs, "ends": self._ends}

    def load_state_dict(self, state: Mapping[str, Any], epoch: int, step: int) -> None:
        """Take up the state of a training that resumes after `epoch` and `step`."""
        scalars = {int(at): dict(found) for at, found in state.get("numbers", {}).items()}
        if "epochs" not in state:
            # An earlier version kept numbers by epoch.
            at = {one: round(step * one / max(epoch, 1)) for one in scalars}
            state = {"epochs": {at[one]: one for one in scalars}, "ends": at}
            scalars = {at[one]: found for one, found in scalars.items()}
        self.scalars.update(scalars)
        self._epochs.update({int(one): int(its) for one, its in state["epochs"].items()})
        self._ends.update({int(one): int(its) for one, its in state["ends"].items()})
