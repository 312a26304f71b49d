"""Train any model with a Lightning Trainer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from seqlight.attribution.engine.forward_record import ForwardRecord
from seqlight.errors import InputError, kind_of
from seqlight.lit.attribution_prior import AttributionPrior
from seqlight.lit.padded_rows import first_rows, unpadded_rows
from seqlight.lit.schedules import Schedule
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.input_errors import explain_input_errors
from seqlight.prediction.inputs import holds_one_hot

Loss = Callable[[Any, Any], Tensor]

OptimizerMaker = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
SchedulerMaker = Callable[[torch.optim.Optimizer, int], torch.optim.lr_scheduler.LRScheduler]


# Losses that compare element by element, and broadcast if shapes differ.
_ELEMENTWISE = (
    nn.BCEWithLogitsLoss,
    nn.BCELoss,
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.PoissonNLLLoss,
)


class TrainModule(L.LightningModule):
    """A model with a loss, metrics and an optimizer, for ``lightning.pytorch.Trainer``.

    A batch is a pair of inputs and labels. One-hot inputs may be in int8: they are converted to the dtype of the model
    on the device. Logged are ``train_loss``, ``valid_loss`` and ``test_loss``, and each metric with the prefix of its
    split. Each row of a validation or test counts once, on any number of devices. Every argument can be given in a YAML
    file of LightningCLI.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X)``.
    loss : torch.nn.Module or callable, optional
        A function of the output and the labels, which may have any structure, such as tuples, and returns one tensor:
        of several losses the sum. If None, binary cross-entropy of logits.
    metrics : mapping of str to torchmetrics.Metric, optional
        Computed in validation and test, from outputs and labels. If the loss is ``torch.nn.BCEWithLogitsLoss``, from
        probabilities and integer labels.
    optimizer : callable, optional
        Makes an optimizer from parameters; if None, AdamW with learning rate 1e-3.
    scheduler : seqlight.lit.schedules.Schedule or callable, optional
        Makes a scheduler from the optimizer and the number of steps of the whole training; it steps with the optimizer.
        The training then needs an end: ``max_epochs`` or ``max_steps`` of the Trainer.
    priors : mapping of str to seqlight.lit.AttributionPrior, optional
        Terms on attributions that are added to the loss in training. Each is logged as ``train_`` and its name;
        ``train_loss`` stays the loss without them, to be compared with ``valid_loss``. What the forward pass of the
        loss has computed is not computed again for them; see :class:`seqlight.lit.ForwardRecord`.

    Raises
    ------
    InputError
        If `priors` cannot be used; if a batch is no pair; if the loss is no tensor; or if the
        shapes of the output and the labels of a batch differ, and the loss would broadcast one to the other.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from seqlight.lit.training import TrainModule
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> module = TrainModule(model, optimizer=partial(torch.optim.AdamW, lr=3e-3))
    >>> module(torch.zeros(2, 4, 20)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module | Loss | None = None,
        metrics: Mapping[str, Metric] | None = None,
        optimizer: OptimizerMaker | None = None,
        scheduler: Schedule | SchedulerMaker | None = None,
        priors: Mapping[str, AttributionPrior] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss if loss is not None else nn.BCEWithLogitsLoss()
        measured = metrics or {}
        self.valid_metrics = nn.ModuleDict({name: metric.clone() for name, metric in measured.items()})
        self.test_metrics = nn.ModuleDict({name: metric.clone() for name, metric in measured.items()})
        self.priors = nn.ModuleDict(_require_priors(priors))
        self.optimizer, self.scheduler = optimizer or torch.optim.AdamW, scheduler
        # Lightning's mean over devices assumes that all have equally many rows. NaN is kept, not ignored.
        self.mean_losses = nn.ModuleDict({split: MeanMetric(nan_strategy="disable") for split in ("valid", "test")})

    def forward(self, X: Tensor) -> Any:
        """Return the output for one-hot inputs of shape (rows, letters, positions), or for ids, which stay integers."""
        converted = X.to(floating_dtype(self.model, X)) if holds_one_hot(X) else X
        with explain_input_errors([converted]):
            return self.model(converted)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        record = ForwardRecord(self.model) if self.priors else None
        loss, _ = self._loss(batch, record)
        if loss.numel() != 1:
            raise InputError(
                f"the loss returned shape {tuple(loss.shape)}: expected a single number, such as its mean."
            )
        rows = len(batch[0])
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=rows, sync_dist=True)
        for name, prior in self.priors.items():
            term = prior(self.model, batch[0], record)
            self.log(f"train_{name}", term, on_step=False, on_epoch=True, batch_size=rows, sync_dist=True)
            loss = loss + term
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the loss and metrics of a batch, counting each row once."""
        self._evaluate("valid", self.valid_metrics, batch, batch_idx)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the loss and metrics of a batch, counting each row once."""
        self._evaluate("test", self.test_metrics, batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the output for a batch, with or without labels."""
        return self(batch[0] if isinstance(batch, tuple | list) else batch)

    def configure_optimizers(self) -> Any:
        """Return the optimizer, with its scheduler if there is one."""
        optimizer = self.optimizer(self.model.parameters())
        if self.scheduler is None:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise InputError("a scheduler needs to know how long the training is: set max_epochs in the Trainer.")
        scheduler = self.scheduler(optimizer, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _loss(self, batch: tuple[Tensor, Any], record: ForwardRecord | None = None) -> tuple[Tensor, Any]:
        X, y = _require_pair(batch)
        with record or contextlib.nullcontext():
            output = self(X if record is None else X.clone())  # a model may write to it, and priors want it, too
        if isinstance(output, Tensor) and isinstance(y, Tensor):
            # A model with a single output has one more dimension than labels of a single number.
            output = output.squeeze(-1) if output.ndim == y.ndim + 1 and output.shape[-1] == 1 else output
            if isinstance(self.loss, _ELEMENTWISE):
                if output.shape != y.shape:
                    raise InputError(
                        f"the model's output has shape {tuple(output.shape)} and the labels {tuple(y.shape)}: expected "
                        "one shape, since the loss would broadcast one to the other."
                    )
                y = y if y.is_floating_point() else y.to(output.dtype)
        elif isinstance(self.loss, _ELEMENTWISE):
            raise InputError(
                f"the model returns {kind_of(output)} and the labels are {kind_of(y)}, which "
                f"{type(self.loss).__name__} cannot compare: expected one tensor each, or a loss of your own, a "
                "function of outputs and labels that returns the sum of its parts."
            )
        return _require_tensor(self.loss(output, y)), output

    def _evaluate(self, split: str, metrics: nn.ModuleDict, batch: tuple[Tensor, Any], batch_idx: int) -> None:
        rows = len(_require_pair(batch)[0])
        unpadded = unpadded_rows(self._trainer, batch_idx, rows)
        # All processes run the model together, also one whose rows are all repeats.
        counted = first_rows(batch, rows, unpadded) if unpadded else batch
        (loss, output), labels = self._loss(counted), counted[1]
        mean = self.mean_losses[split]
        assert isinstance(mean, Metric)
        if unpadded:
            mean.update(loss.expand(unpadded))  # with nan_strategy="disable", weights are not read
        else:
            output, labels = first_rows((output, labels), rows, 0)
        self.log(f"{split}_loss", mean, on_step=False, on_epoch=True, batch_size=unpadded)
        if isinstance(self.loss, nn.BCEWithLogitsLoss):
            # A metric would take a batch of logits that happen to lie between 0 and 1 for probabilities.
            output, labels = output.sigmoid(), labels.long()
        for name, metric in metrics.items():
            assert isinstance(metric, Metric)
            if unpadded or _has_no_rows(metric):
                metric.update(output, labels)
            self.log(f"{split}_{name}", metric, on_step=False, on_epoch=True, batch_size=unpadded)


def _require_pair(batch: Any) -> tuple[Tensor, Any]:
    """Return inputs and labels; InputError if a batch is something else."""
    if isinstance(batch, tuple | list) and len(batch) > 2:
        raise InputError(
            f"a batch has {len(batch)} members: expected a pair of inputs and labels; nest several labels, as in "
            "(X, (profile, counts)), and the loss gets them as they are."
        )
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise InputError(
            f"a batch is {kind_of(batch)}: expected a pair of inputs and labels; give the data a y, such as labels or "
            "signals of a GenomeDataset."
        )
    return batch[0], batch[1]


def _require_tensor(loss: Any) -> Tensor:
    """Return what a loss returned; InputError if it is not a tensor."""
    if not isinstance(loss, Tensor):
        raise InputError(
            f"the loss returned {kind_of(loss)}: expected one tensor; of several losses return the sum, with weights."
        )
    return loss


def _require_priors(priors: Any) -> Mapping[str, AttributionPrior]:
    """Return the priors by name; InputError if they cannot be modules, or be logged, by these names."""
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        raise InputError(
            f"priors is {kind_of(priors)}: expected a mapping of names to attribution priors, such as "
            '{"sparsity": AttributionPrior(Sparsity())}.'
        )
    for name, prior in priors.items():
        if not isinstance(name, str) or not name or "." in name or name == "loss" or hasattr(nn.ModuleDict, name):
            raise InputError(
                f"priors has the name {name!r}: expected a text that can be the name of a module, has no dot, and is "
                "not 'loss', under which the loss itself is logged."
            )
        if not isinstance(prior, nn.Module):
            raise InputError(f"the prior {name!r} is {kind_of(prior)}: expected an AttributionPrior made of it.")
    return priors


def _has_no_rows(metric: Metric) -> bool:
    """Return whether a metric collects rows and has none yet: processes must agree on their dtype and dimensions."""
    return any(isinstance(one, list) and not one for one in metric.metric_state.values())
