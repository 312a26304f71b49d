"""Attributions of a fixed set of sequences at the end of each validation epoch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from seqlight.attribution.attributing import attribute
from seqlight.attribution.deeplift import deep_lift_shap
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.errors import InputError, SeqlightWarning
from seqlight.lit.ranks import shared, together
from seqlight.metrics.attribution import convergence, require_window, similarity, window_share
from seqlight.sequence.checks import require_count, require_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight_callbacks.records import AttributionRecord, load, save
from seqlight_callbacks.trainers import (
    before,
    epochs_trained,
    fitting,
    idle,
    log_numbers,
    require_lightning,
    require_own_name,
)


class AttributionCallback(Callback):
    """Attribute the same sequences against the same references whenever an epoch was validated.

    The training does not notice: weights, gradients, modes and random generators are as before. The
    work is shared among all processes. Logged, behind ``name/``, and so open to ModelCheckpoint and
    EarlyStopping: ``delta`` and ``relative_delta`` (how far sums of attributions are from the output
    differences), ``magnitude`` (mean absolute attribution of a position),
    ``similarity`` (mean cosine to the record before; 0 for the first) and, with `window`, ``window_share``
    (the share of positive attribution inside). The last record is kept in ``record``.

    Parameters
    ----------
    sequences : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    target : int
        Which output to explain.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        As in :func:`seqlight.deep_lift_shap`; drawn once.
    n_shuffles : int
        References a sequence, where they come from a function.
    random_state : int
        The seed of the references.
    every_n_epochs : int
        How often: after this many epochs, after twice as many, and so on. ``trainer.validate`` always attributes.
    untrained : bool
        Attribute once more before the first step, as epoch 0. That record is kept and written, not logged.
    batch_size : int
        Pairs of sequence and reference at a time.
    window : tuple of int, optional
        Where the attribution is hoped to be, ``start <= position < end``.
    out : str or pathlib.Path, optional
        A folder for one ``epoch-000.npz`` each epoch, written by the first process. A resumed training
        finds there what its first epoch is compared with.
    name : str
        The prefix of what is logged, one for each callback of this kind.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if another callback has the same name or
        WeightAveraging stands before this one, when the Trainer starts.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback
    >>> callback = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callback.references.shape
    torch.Size([8, 5, 4, 60])
    """

    def __init__(
        self,
        sequences: Tensor,
        target: int = 0,
        references: Tensor | ReferenceFunction = dinucleotide_shuffle,
        n_shuffles: int = 20,
        random_state: int = 0,
        every_n_epochs: int = 1,
        untrained: bool = False,
        batch_size: int = 256,
        window: tuple[int, int] | None = None,
        out: str | Path | None = None,
        name: str = "attribution",
    ) -> None:
        super().__init__()
        # Copies: what a caller does with its tensors afterwards must not change what is compared.
        self.sequences = require_one_hot(sequences, "sequences").detach().cpu().clone()
        n = require_count(n_shuffles, "n_shuffles", least=1)
        drawn = References(references, self.sequences, n, random_state).of(0, len(sequences))
        self.references = drawn.detach().cpu().clone()
        self.target, self.batch_size = target, require_count(batch_size, "batch_size", least=1)
        self.every_n_epochs = require_count(every_n_epochs, "every_n_epochs", least=1)
        self.window = None if window is None else require_window(*window, positions=self.sequences.shape[2])
        self.untrained, self.name = untrained, name
        self.out = None if out is None else Path(out)
        self.record: AttributionRecord | None = None

    @property
    def state_key(self) -> str:
        """What tells several of these apart in a checkpoint."""
        return self._generate_state_key(name=self.name, target=self.target)

    def state_dict(self) -> dict[str, Any]:
        """Return which record was the last: a number, which every checkpoint can hold."""
        return {} if self.record is None else {"epoch": self.record.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read the last record back, where it was written and is of these sequences."""
        path = None if self.out is None or "epoch" not in state_dict else self._path(state_dict["epoch"])
        if path is not None and path.exists():
            record = load(path)
            self.record = record if record.attributions.shape == self.sequences.shape else None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse what would give other attributions than those of the validated weights."""
        require_lightning(trainer)
        require_own_name(trainer, self)
        if any(isinstance(other, WeightAveraging) for other in before(trainer, self)):
            raise InputError(
                "AttributionCallback stands behind WeightAveraging, where it would see other weights than "
                "were validated: list it first."
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute the untrained model, if that is asked for; find out now what would fail after an epoch."""
        if idle(trainer):
            return
        if not trainer.enable_validation:
            warnings.warn(
                f"the Trainer validates nothing, so AttributionCallback {self.name!r} will do nothing: "
                "pass validation data to fit.",
                SeqlightWarning,
                stacklevel=2,
            )
        if self.untrained and trainer.global_step == 0:
            self._keep(trainer, self._recorded(trainer, pl_module, 0))
        else:
            self._rehearse(pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute, log and keep the record."""
        epoch = epochs_trained(trainer)
        if idle(trainer) or (fitting(trainer) and epoch % self.every_n_epochs):
            return
        last, record = self.record, self._recorded(trainer, pl_module, epoch)
        log_numbers(pl_module, self.name, self._numbers(record, last))
        self._keep(trainer, record)

    def _rehearse(self, pl_module: L.LightningModule) -> None:
        X, references = self.sequences[:1], self.references[:1, :1]
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            deep_lift_shap(pl_module, X, target=self.target, references=references, device=pl_module.device)

    def is_current(self, trainer: L.Trainer) -> bool:
        """Return whether the record is of the epoch that is being validated."""
        return self.record is not None and self.record.epoch == epochs_trained(trainer)

    def _path(self, epoch: int) -> Path:
        assert self.out is not None
        return self.out / f"epoch-{epoch:03d}.npz"

    def _keep(self, trainer: L.Trainer, record: AttributionRecord) -> None:
        self.record = record
        if self.out is not None:
            # One process writes; if it cannot, none waits for it.
            together(trainer, lambda: save(record, self._path(record.epoch)) if trainer.is_global_zero else None)

    def _recorded(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int) -> AttributionRecord:
        def work(rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
            found = attribute(
                pl_module,
                self.sequences[rows],
                target=self.target,
                references=self.references[rows],
                keep_references=False,
                batch_size=self.batch_size,
                device=pl_module.device,
            )
            assert found.reference_outputs is not None
            return found.attributions, found.outputs, found.reference_outputs

        # trainer.validate is in inference mode, whose tensors no gradient may meet: not here, and not in the record.
        with torch.inference_mode(False), torch.no_grad():
            parts = shared(trainer, len(self.sequences), work)
        order = torch.tensor([row for rows, _ in parts for row in rows]).argsort()
        attributions, outputs, baselines = (
            torch.cat(tensors)[order] for tensors in zip(*(result for _, result in parts), strict=True)
        )
        return AttributionRecord(epoch, attributions, outputs, baselines)

    def _numbers(self, record: AttributionRecord, last: AttributionRecord | None) -> dict[str, float]:
        miss = convergence(record.attributions, record.outputs, record.reference_outputs)
        numbers = {
            "delta": miss.largest,
            "relative_delta": miss.relative,
            "magnitude": float(record.attributions.sum(dim=1).abs().mean()),
            "similarity": 0.0 if last is None else similarity(record.attributions, last.attributions),
        }
        if self.window is not None:
            numbers["window_share"] = window_share(record.attributions, *self.window)
        return numbers
