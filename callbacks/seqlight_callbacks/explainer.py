"""Runs an attribution method on the model of a training: the same sequences, references and target every time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from seqlight.lit.collectives import run_on_all_ranks, split_among_ranks
from seqlight.prediction.batch_size import AskedBatchSize, BatchSize
from seqlight.prediction.borrowed_model.borrow import borrow
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.prediction.model_wrapper import unwrap_model
from seqlight.targets.contrast import SingleTarget
from seqlight_callbacks.arguments import InputFunction
from seqlight_callbacks.explained_model import InputAdapter, select_model
from seqlight_callbacks.failures import prefix_errors
from seqlight_callbacks.methods import WITH_REFERENCES, Method, MethodResult, concatenate_results, run_method
from seqlight_callbacks.trainer_state import is_fitting

# Rows at a time on a device that does not report its memory, if nobody chose a number.
ROWS_ON_CPU = 256

HINT = (
    "; choose the `module` that takes such sequences, or pass `inputs`, a function that turns them into what it takes"
)


@dataclass(frozen=True)
class Explainer:
    """What is explained, by which method, at every record of a training.

    Attributes
    ----------
    method : str
        One of ``METHODS``.
    sequences : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    references : torch.Tensor, shape (sequences, references, letters, positions)
        What each sequence is compared with.
    target : any single target of :func:`seqlight.attribute`
    module, head : str or int, optional
        Which part of the LightningModule, and which of its outputs.
    inputs : callable, optional
        Turns one-hot sequences into the inputs of the model.
    batch_size : int or "auto"
        Rows at a time; "auto" is 256 on the CPU.
    precision : "tf32" or None
        How exactly float32 is computed on an accelerator.
    layers : bool
        Whether to keep what each layer contributes.
    """

    method: Method
    sequences: Tensor
    references: Tensor
    target: SingleTarget
    module: str | None
    head: str | int | None
    inputs: InputFunction | None
    batch_size: AskedBatchSize
    precision: Precision = None
    layers: bool = False

    def select_model(self, pl_module: L.LightningModule) -> nn.Module:
        """Return the model that is explained."""
        return select_model(pl_module, self.module, self.head, self.inputs)

    def explain(self, trainer: L.Trainer, pl_module: L.LightningModule, label: str) -> MethodResult:
        """Return the attributions of all sequences; the processes share the work and all get the result.

        Outside ``trainer.fit``, where :meth:`check_model` was not called before, an error names the callback and the
        shapes that did not fit.
        """
        model = self.select_model(pl_module)

        def work(rows: Sequence[int]) -> MethodResult:
            with nullcontext() if is_fitting(trainer) else self._error_context(model, pl_module, label):
                return self._run(model, rows, self.references[rows], pl_module.device)

        # trainer.validate runs in inference mode, whose tensors cannot take part in autograd, here or in the record.
        with torch.inference_mode(False), torch.no_grad():
            parts = split_among_ranks(trainer, len(self.sequences), work)
        order = torch.tensor([row for rows, _ in parts for row in rows]).argsort()
        return concatenate_results([found for _, found in parts], order)

    def check_model(self, trainer: L.Trainer, pl_module: L.LightningModule, label: str) -> None:
        """Explain two sequences before the first step, to find errors early; the model is left as it was.

        Raises
        ------
        SeqlightError
            Which names the callback by its `label`, and the shapes that did not fit.
        """
        run_on_all_ranks(trainer, lambda: self._check_model(pl_module, label))

    def __str__(self) -> str:
        n, _, length = self.sequences.shape
        return "".join(
            (
                f"{self.method} of {_count(n, 'sequence')} of {length} positions",
                f" against {_count(self.references.shape[1], 'reference')} each" * (self.method in WITH_REFERENCES),
                f", target {_name(self.target)}",
                "" if self.head is None else f" of head {self.head!r}",
                "" if self.module is None else f" of module {self.module!r}",
                "" if self.inputs is None else f", through {_name(self.inputs)}",
                ", with convolutions in TF32" if self.precision else "",
            )
        )

    def _check_model(self, pl_module: L.LightningModule, label: str) -> None:
        model = self.select_model(pl_module)
        # Two rows, since with one alone a model that mixes rows would not be found out.
        rows = list(range(min(2, len(self.sequences))))
        references = self.references[rows, : 3 - len(rows)]
        context = self._error_context(model, pl_module, label)
        with context, torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._run(model, rows, references, pl_module.device)

    def _run(self, model: nn.Module, rows: Sequence[int], references: Tensor, device: torch.device) -> MethodResult:
        target: SingleTarget = self.target[rows] if isinstance(self.target, Tensor) else self.target
        size = BatchSize(self.batch_size, device, otherwise=ROWS_ON_CPU)
        asked: AskedBatchSize = "auto" if size.learns else size.rows
        # What a forward counts or keeps on the model must not reach the training.
        lent = borrow(unwrap_model(model), device, attributes=True)
        with hold_precision(self.precision, device), lent:
            return run_method(self.method, model, self.sequences[rows], references, target, asked, device, self.layers)

    def _error_context(
        self, model: nn.Module, pl_module: L.LightningModule, label: str
    ) -> AbstractContextManager[None]:
        """Prefix an error with the callback, the shapes that it passes on, and the module that it passes them to."""

        def prefix() -> str:
            given = f"{label} gives its `sequences` of shape {tuple(self.sequences.shape)}"
            shapes = [one.last_shapes for one in model.modules() if isinstance(one, InputAdapter)]
            if shapes == [""]:
                return f"{given} to `inputs`, {_name(self.inputs)}"
            converted = f", some of which `inputs` turned into {shapes[0]}," if shapes else ""
            receiver = (
                f"`module` {self.module!r}" if self.module else f"{type(pl_module).__name__}, as `module` is None"
            )
            return f"{given}{converted} to {receiver}"

        target = f", or look into `target`, {_name(self.target)}" if callable(self.target) else ""
        return prefix_errors(prefix, f"{HINT}{target}")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _name(thing: object) -> str:
    return str(getattr(thing, "__name__", "one for each sequence" if isinstance(thing, Tensor) else thing))
