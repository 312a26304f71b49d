"""Seqlets in the attributions of each epoch."""

from __future__ import annotations

import lightning.pytorch as L
import pandas as pd
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.overlap import overlap
from seqlight.seqlets.recursive import recursive_seqlets
from seqlight_callbacks.attribution import AttributionCallback, idle, require_lightning


class SeqletCallback(Callback):
    """Call seqlets in what an AttributionCallback recorded, at the end of the same epoch.

    Logged, behind ``name/``: ``count``, ``mean_length``, ``attribution_share`` (of the absolute attribution,
    the part inside seqlets) and, with `known`, ``recall`` and ``precision`` of the strong positive
    seqlets. Numbers that do not exist in an epoch, such as a mean over no seqlets, are logged as 0, so
    that every epoch and every process logs the same keys. The last table is kept in ``seqlets``.

    Parameters
    ----------
    attribution : AttributionCallback
        Which must stand before this callback in the list of the Trainer.
    threshold : float
        As in :func:`seqlight.recursive_seqlets`.
    strong : float
        Seqlets with a smaller p-value are strong.
    known : pandas.DataFrame, optional
        Columns example_idx, start and end: where seqlets are hoped to be.
    name : str
        The prefix of what is logged.
    """

    def __init__(
        self,
        attribution: AttributionCallback,
        threshold: float = 0.01,
        strong: float = 0.001,
        known: pd.DataFrame | None = None,
        name: str = "seqlets",
    ) -> None:
        super().__init__()
        self.attribution = attribution
        self.threshold, self.strong, self.known, self.name = threshold, strong, known, name
        self.seqlets: pd.DataFrame | None = None

    @property
    def state_key(self) -> str:
        """What tells several of these apart in a checkpoint."""
        return self._generate_state_key(name=self.name)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a list of callbacks in which the attributions would come too late."""
        require_lightning(trainer)
        others = trainer.callbacks  # type: ignore[attr-defined]
        if self.attribution not in others[: others.index(self)]:
            raise InputError(
                "SeqletCallback found its AttributionCallback not before it in the Trainer's callbacks: "
                "pass callbacks=[attribution, SeqletCallback(attribution)]."
            )

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Call, log and keep the table."""
        record = self.attribution.record
        if idle(trainer) or record is None or not self.attribution.is_current(trainer):
            return
        track = record.attributions.sum(dim=1)
        self.seqlets = recursive_seqlets(track, threshold=self.threshold)
        for key, value in self._numbers(self.seqlets, track).items():
            pl_module.log(f"{self.name}/{key}", value, batch_size=len(track))

    def strong_positive(self) -> pd.DataFrame:
        """Return the strong seqlets of the last epoch that raise the output."""
        if self.seqlets is None:
            raise InputError("no seqlets were called yet: expected at least one validated epoch.")
        chosen = (self.seqlets["p-value"] < self.strong) & (self.seqlets["attribution"] > 0)
        return self.seqlets[chosen].reset_index(drop=True)

    def _numbers(self, seqlets: pd.DataFrame, track: Tensor) -> dict[str, float]:
        inside = sum(
            float(track[i, start:end].abs().sum())
            for i, start, end in seqlets[["example_idx", "start", "end"]].itertuples(index=False)
        )
        lengths = seqlets["end"] - seqlets["start"]
        numbers = {
            "count": float(len(seqlets)),
            "mean_length": float(lengths.mean()) if len(seqlets) else 0.0,
            "attribution_share": inside / max(float(track.abs().sum()), 1e-30),
        }
        if self.known is not None:
            strong = self.strong_positive()
            found = overlap(strong, self.known)
            numbers["recall"] = found.recall
            numbers["precision"] = found.precision if len(strong) else 0.0
        return numbers
