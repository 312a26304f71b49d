"""What is asked of a model: which sequences, through which part of it, to which output."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from seqlight.attribution.targets import SingleTarget
from seqlight.lit.collectives import run_on_all_ranks, split_among_ranks
from seqlight_callbacks.arguments import Inputs
from seqlight_callbacks.explained_model import Adapter, explained
from seqlight_callbacks.failures import prefix_errors
from seqlight_callbacks.methods import COMPARING, Found, Method, explain, joined
from seqlight_callbacks.trainer_state import fitting

HINT = "; choose the `module` that takes such sequences, or pass `inputs`, a function that makes of them what it takes"


@dataclass(frozen=True)
class Explainer:
    """The same question to a model in every epoch.

    Attributes
    ----------
    method : str
        How to attribute.
    sequences : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    references : torch.Tensor, shape (sequences, references, letters, positions)
        What they are compared with.
    target : any single target of :func:`seqlight.attribute`
    module, head : str or int, optional
        Which part of the LightningModule, and which of its outputs.
    inputs : callable, optional
        Makes of sequences what it is called with.
    batch_size : int
        Rows at a time.
    """

    method: Method
    sequences: Tensor
    references: Tensor
    target: SingleTarget
    module: str | None
    head: str | int | None
    inputs: Inputs | None
    batch_size: int

    def model(self, pl_module: L.LightningModule) -> nn.Module:
        """Return what is explained."""
        return explained(pl_module, self.module, self.head, self.inputs)

    def found(self, trainer: L.Trainer, pl_module: L.LightningModule, who: str) -> Found:
        """Return the attributions of all sequences, which all processes make together.

        Outside of ``trainer.fit``, where nothing was tried before, an error names the callback and the shapes that met.
        """
        model = self.model(pl_module)

        def work(rows: Sequence[int]) -> Found:
            with nullcontext() if fitting(trainer) else self._named(model, pl_module, who):
                return self._explained(model, rows, self.references[rows], pl_module.device)

        # trainer.validate is in inference mode, whose tensors no gradient may meet: not here, and not in the record.
        with torch.inference_mode(False), torch.no_grad():
            parts = split_among_ranks(trainer, len(self.sequences), work)
        order = torch.tensor([row for rows, _ in parts for row in rows]).argsort()
        return joined([found for _, found in parts], order)

    def rehearse(self, trainer: L.Trainer, pl_module: L.LightningModule, who: str) -> None:
        """Find out, with two sequences, what would fail later; the model is as before.

        Raises
        ------
        SeqlightError
            Which names the callback `who`, and the shapes that met.
        """
        run_on_all_ranks(trainer, lambda: self._rehearse(pl_module, who))

    def __str__(self) -> str:
        n, _, length = self.sequences.shape
        return "".join(
            (
                f"{self.method} of {_counted(n, 'sequence')} of {length} positions",
                f" against {_counted(self.references.shape[1], 'reference')} each" if self.method in COMPARING else "",
                f", target {_name(self.target)}",
                "" if self.head is None else f" of head {self.head!r}",
                "" if self.module is None else f" of module {self.module!r}",
                "" if self.inputs is None else f", through {_name(self.inputs)}",
            )
        )

    def _rehearse(self, pl_module: L.LightningModule, who: str) -> None:
        model = self.model(pl_module)
        # Two rows, for one alone hides what treats rows together.
        rows = list(range(min(2, len(self.sequences))))
        references = self.references[rows, : 3 - len(rows)]
        named = self._named(model, pl_module, who)
        with named, torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._explained(model, rows, references, pl_module.device)

    def _named(self, model: nn.Module, pl_module: L.LightningModule, who: str) -> AbstractContextManager[None]:
        """Put before an error the callback, what it gives, and to which module."""

        def met() -> str:
            said = f"{who} gives its `sequences` of shape {tuple(self.sequences.shape)}"
            made = [one.made for one in model.modules() if isinstance(one, Adapter)]
            if made == [""]:
                return f"{said} to `inputs`, {_name(self.inputs)}"
            through = f", of which `inputs` made {made[0]} to try it," if made else ""
            whom = f"`module` {self.module!r}" if self.module else f"{type(pl_module).__name__}, as `module` is None"
            return f"{said}{through} to {whom}"

        target = f", or look into `target`, {_name(self.target)}" if callable(self.target) else ""
        return prefix_errors(met, f"{HINT}{target}")

    def _explained(self, model: nn.Module, rows: Sequence[int], references: Tensor, device: torch.device) -> Found:
        target: SingleTarget = self.target[rows] if isinstance(self.target, Tensor) else self.target
        return explain(self.method, model, self.sequences[rows], references, target, self.batch_size, device)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _name(thing: object) -> str:
    return str(getattr(thing, "__name__", "one for each sequence" if isinstance(thing, Tensor) else thing))
