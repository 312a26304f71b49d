"""Listeners that show records to a reader, together with the seqlets called in them."""

from __future__ import annotations

from collections.abc import Sequence

import lightning.pytorch as L

from seqlight.errors import InputError
from seqlight_callbacks.named_callback import find_callback
from seqlight_callbacks.recorder import Recorder, RecordListener
from seqlight_callbacks.seqlets import SeqletCallback
from seqlight_callbacks.trainer_state import all_callbacks


class RecordViewer(RecordListener):
    """A listener that uses the seqlets of a SeqletCallback, if there is one, and so runs after it.

    Parameters
    ----------
    attribution : Recorder, str or None
        The recorder to listen to, itself or its name; None for the only one that the Trainer has.
    seqlets : SeqletCallback, str or None
        Whose seqlets to show, itself or its name; None for the only one of the same recorder, if there is one.
    name : str
        A name of its own among callbacks of its class.
    """

    runs_last = True

    def __init__(self, attribution: Recorder | str | None, seqlets: SeqletCallback | str | None, name: str) -> None:
        super().__init__(attribution, name)
        self._requested_seqlets = seqlets
        self.seqlets = seqlets if isinstance(seqlets, SeqletCallback) else None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the recorder, and the callback whose seqlets to show."""
        super().setup(trainer, pl_module, stage)
        self.seqlets = self.find_seqlets(trainer)

    def find_seqlets(self, trainer: L.Trainer) -> SeqletCallback | None:
        """Return the SeqletCallback that was asked for, or the only one of the same recorder.

        Raises
        ------
        InputError
            If the Trainer does not have it, or it listens to another recorder.
        """
        callbacks = [one for one in all_callbacks(trainer) if isinstance(one, SeqletCallback)]
        candidates = [one for one in callbacks if one.find_recorder(trainer) is self.attribution]
        if self._requested_seqlets is None:
            return candidates[0] if len(candidates) == 1 else None
        found = find_callback(trainer, SeqletCallback, "a SeqletCallback", self._requested_seqlets, self)
        if not any(found is one for one in candidates):
            raise InputError(
                f"{self.label} and its SeqletCallback listen to different AttributionCallbacks: give both the same."
            )
        return found


def require_examples(examples: Sequence[int], recorder: Recorder) -> None:
    """Raise InputError unless there is at least one example, and each is the number of a sequence."""
    n = len(recorder.sequences)
    if not examples or not all(0 <= example < n for example in examples):
        raise InputError(
            f"examples is {tuple(examples)} and there are {n} sequences: expected numbers from 0 to {n - 1}."
        )
