"""Seqlets in the attributions of each epoch."""

from __future__ import annotations

import warnings

import lightning.pytorch as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from seqlight.errors import InputError, SeqlightWarning
from seqlight.metrics.overlap import overlap, require_intervals
from seqlight.seqlets.recursive import recursive_seqlets
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.trainers import before, idle, log_numbers, require_lightning, require_own_name


class SeqletCallback(Callback):
    """Call seqlets in what an AttributionCallback recorded, at the end of the same epoch.

    Logged, behind ``name/``: ``count``, ``mean_length``, ``attribution_share`` (of the absolute attribution,
    the part inside seqlets) and, with `known`, ``recall`` and ``precision`` of the strong positive
    seqlets. Numbers that do not exist in an epoch, such as a mean over no seqlets, are logged as 0, so
    that every epoch and every process logs the same keys. The last table is kept in ``seqlets``. A model
    that diverged, so that attributions are NaN, has no seqlets: that is a warning, not the end of the training.

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
        The prefix of what is logged, one for each callback of this kind.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if `attribution` does not stand before this
        callback, when the Trainer starts.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, SeqletCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callbacks = [attribution, SeqletCallback(attribution)]
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
        if not isinstance(attribution, AttributionCallback):
            raise InputError(f"attribution is a {type(attribution).__name__}: expected an AttributionCallback.")
        for key, p in (("threshold", threshold), ("strong", strong)):
            if not 0 < p <= 1:
                raise InputError(f"{key} is {p}: expected a p-value above 0 and at most 1.")
        if known is not None:
            require_intervals(known, "known", len(attribution.sequences))
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
        require_own_name(trainer, self)
        if self.attribution not in before(trainer, self):
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
        if not bool(torch.isfinite(track).all()):
            warnings.warn("attributions are not finite, so no seqlets were called.", SeqlightWarning, stacklevel=2)
            # Nothing is rare where nothing differs: an empty table, with its columns.
            track = torch.zeros_like(track)
        self.seqlets = recursive_seqlets(track, threshold=self.threshold)
        log_numbers(pl_module, self.name, self._numbers(self.seqlets, track))

    def strong_positive(self) -> pd.DataFrame:
        """Return the strong seqlets of the last epoch that raise the output."""
        if self.seqlets is None:
            raise InputError("no seqlets were called yet: expected at least one validated epoch.")
        chosen = (self.seqlets["p-value"] < self.strong) & (self.seqlets["attribution"] > 0)
        return self.seqlets[chosen].reset_index(drop=True)

    def _numbers(self, seqlets: pd.DataFrame, track: Tensor) -> dict[str, float]:
        # A mask, for a seqlet that raises the output and one that lowers it may share positions.
        inside = torch.zeros_like(track, dtype=torch.bool)
        for i, start, end in seqlets[["example_idx", "start", "end"]].itertuples(index=False):
            inside[i, start:end] = True
        lengths = seqlets["end"] - seqlets["start"]
        numbers = {
            "count": float(len(seqlets)),
            "mean_length": float(lengths.mean()) if len(seqlets) else 0.0,
            "attribution_share": float(track[inside].abs().sum()) / max(float(track.abs().sum()), 1e-30),
        }
        if self.known is not None:
            strong = self.strong_positive()
            found = overlap(strong, self.known)
            numbers["recall"] = found.recall if len(self.known) else 0.0
            numbers["precision"] = found.precision if len(strong) else 0.0
        return numbers
