"""Attributions of a fixed set of sequences at the end of each validation epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from seqlight.attribution.deeplift import deep_lift_shap
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.errors import InputError
from seqlight.metrics.attribution import convergence, similarity, window_share
from seqlight.prediction.batches import predict
from seqlight.sequence.checks import require_count, require_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight_callbacks.ranks import shared


@dataclass(frozen=True)
class AttributionRecord:
    """What one epoch gave.

    Attributes
    ----------
    epoch : int
        How many epochs of training came before; 0 for the untrained model.
    attributions : torch.Tensor, float32, shape (sequences, letters, positions)
        Of the characters that are there, averaged over references.
    outputs : torch.Tensor, shape (sequences,)
        The model's output on the sequences.
    reference_outputs : torch.Tensor, shape (sequences, references)
        The model's output on their references.
    """

    epoch: int
    attributions: Tensor
    outputs: Tensor
    reference_outputs: Tensor


class AttributionCallback(Callback):
    """Attribute the same sequences against the same references whenever an epoch was validated.

    The training does not notice: weights, gradients, modes and random generators are as before. The
    work is shared among all processes. Logged, behind ``name/``, and so open to ModelCheckpoint and
    EarlyStopping: ``delta`` and ``relative_delta`` (how far sums of attributions are from the output
    differences, measured by running the model), ``magnitude`` (mean absolute attribution of a position),
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
        How often.
    untrained : bool
        Attribute once more before the first step, as epoch 0. That record is kept and written, not logged.
    batch_size : int
        Pairs of sequence and reference at a time.
    window : tuple of int, optional
        Where the attribution is hoped to be, ``start <= position < end``.
    out : str or pathlib.Path, optional
        A folder for one ``epoch-000.npz`` each epoch, written by the first process.
    name : str
        The prefix of what is logged, one for each callback of this kind.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback
    >>> callback = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
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
        self.sequences = require_one_hot(sequences, "sequences").cpu()
        n = require_count(n_shuffles, "n_shuffles", least=1)
        self.references = References(references, self.sequences, n, random_state).of(0, len(sequences))
        self.target, self.batch_size = target, batch_size
        self.every_n_epochs = require_count(every_n_epochs, "every_n_epochs", least=1)
        self.untrained, self.window, self.name = untrained, window, name
        self.out = None if out is None else Path(out)
        self.record: AttributionRecord | None = None

    @property
    def state_key(self) -> str:
        """What tells several of these apart in a checkpoint."""
        return self._generate_state_key(name=self.name)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse what would give other attributions than those of the validated weights."""
        require_lightning(trainer)
        others = trainer.callbacks  # type: ignore[attr-defined]
        if any(isinstance(other, WeightAveraging) for other in others[: others.index(self)]):
            raise InputError(
                "AttributionCallback stands behind WeightAveraging, where it would see other weights than "
                "were validated: list it first."
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute the untrained model, if that is asked for."""
        if self.untrained and not idle(trainer) and trainer.current_epoch == 0:
            self._keep(trainer, self._recorded(trainer, pl_module, 0))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute, log and keep the record."""
        if idle(trainer) or trainer.current_epoch % self.every_n_epochs:
            return
        before, record = self.record, self._recorded(trainer, pl_module, trainer.current_epoch + 1)
        for key, value in self._numbers(record, before).items():
            # Every process has the whole record, so there is nothing to synchronise.
            pl_module.log(f"{self.name}/{key}", value, batch_size=len(self.sequences))
        self._keep(trainer, record)

    def _keep(self, trainer: L.Trainer, record: AttributionRecord) -> None:
        self.record = record
        if self.out is not None and trainer.is_global_zero:
            save(record, self.out / f"epoch-{record.epoch:03d}.npz")

    def is_current(self, trainer: L.Trainer) -> bool:
        """Return whether the record is of the epoch that is being validated."""
        return self.record is not None and self.record.epoch == trainer.current_epoch + 1

    def _recorded(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int) -> AttributionRecord:
        def work(rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
            X, references = self.sequences[rows], self.references[rows]
            settings = {"batch_size": self.batch_size, "device": pl_module.device}
            attributions = deep_lift_shap(pl_module, X, target=self.target, references=references, **settings)
            both = torch.cat([X, references.flatten(0, 1).to(X.dtype)])
            outputs = predict(pl_module, both, func=self._chosen, **settings)
            return attributions, outputs[: len(X)], outputs[len(X) :].view(len(X), -1)

        parts = shared(trainer, len(self.sequences), work)
        order = torch.tensor([row for rows, _ in parts for row in rows]).argsort()
        attributions, outputs, baselines = (
            torch.cat(tensors)[order] for tensors in zip(*(result for _, result in parts), strict=True)
        )
        return AttributionRecord(epoch, attributions, outputs, baselines)

    def _chosen(self, output: Tensor) -> Tensor:
        return output.flatten(1)[:, self.target] if output.ndim > 1 else output

    def _numbers(self, record: AttributionRecord, before: AttributionRecord | None) -> dict[str, float]:
        miss = convergence(record.attributions, record.outputs, record.reference_outputs)
        numbers = {
            "delta": miss.largest,
            "relative_delta": miss.relative,
            "magnitude": float(record.attributions.sum(dim=1).abs().mean()),
            "similarity": 0.0 if before is None else similarity(record.attributions, before.attributions),
        }
        if self.window is not None:
            numbers["window_share"] = window_share(record.attributions, *self.window)
        return numbers


def idle(trainer: L.Trainer) -> bool:
    """Return whether this is only a rehearsal: the sanity check, or a fast_dev_run."""
    return bool(trainer.sanity_checking or trainer.fast_dev_run)  # type: ignore[attr-defined]


def require_lightning(trainer: object) -> None:
    """Raise InputError unless `trainer` is one of the package ``lightning``."""
    if not isinstance(trainer, L.Trainer):
        kind = f"{type(trainer).__module__.split('.')[0]}.{type(trainer).__qualname__}"
        raise InputError(f"the trainer is a {kind}: expected lightning.pytorch.Trainer; import it from there.")


def save(record: AttributionRecord, path: Path) -> None:
    """Write a record as npz; under its final name it is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            epoch=record.epoch,
            attributions=record.attributions.numpy(),
            outputs=record.outputs.numpy(),
            reference_outputs=record.reference_outputs.numpy(),
        )
    partial.replace(path)
