"""An architecture as its authors write it: how to make it, and how to train it on planted motifs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.datasets.labelled import LabelledSequences, LabelledSplit
from seqlight.datasets.planted import load_planted
from seqlight.prediction.process_settings import ONE_THREAD

# Positions per sequence, for which the sizes of all architectures are made.
LENGTH = 100
_SEQUENCES, _BATCH, _SEED = 2000, 64, 0


class Labels(NamedTuple):
    """What a model can learn from planted sequences.

    Attributes
    ----------
    y : torch.Tensor, float32, shape (rows,)
        1 where the motifs are, 0 in shuffled sequences.
    sites : torch.Tensor, int64, shape (rows, positions)
        At each position 0, or 1 or 2 inside the first or the second motif.
    """

    y: Tensor
    sites: Tensor


def logit_loss(outputs: Tensor, labels: Labels) -> Tensor:
    """Return the cross-entropy of logits of shape (rows, 1)."""
    return F.binary_cross_entropy_with_logits(outputs[:, 0], labels.y)


def probability_loss(outputs: Tensor, labels: Labels) -> Tensor:
    """Return the cross-entropy of probabilities of shape (rows, 1)."""
    return F.binary_cross_entropy(outputs[:, 0], labels.y)


@dataclass(frozen=True)
class Architecture:
    """A family of models.

    Attributes
    ----------
    name : str
        As it is called in tables.
    make : callable
        Returns a model with random weights.
    source : str
        Whose code its structure follows, and what was reduced.
    loss : callable
        Of the outputs of the model and the `Labels` of a batch; how its authors train it.
    explained : callable
        Returns the model whose output is explained, where that of the model itself is more than a column for each task.
    epochs : int
    rate : float
        The learning rate, of AdamW.
    """

    name: str
    make: Callable[[], nn.Module]
    source: str
    loss: Callable[[Any, Labels], Tensor] = logit_loss
    explained: Callable[[nn.Module], nn.Module] | None = None
    epochs: int = 6
    rate: float = 3e-3

    def explain(self, model: nn.Module) -> nn.Module:
        """Return the model whose output is explained, in evaluation mode."""
        return (model if self.explained is None else self.explained(model)).eval()


def make_untrained(architecture: Architecture) -> nn.Module:
    """Return a model as initialised, the same in each process.

    Weights that are zeros at first, as authors initialise the end of a residual branch, are drawn at random here, for
    else they would hide what is before them; running statistics are those of random sequences.
    """
    with seeded():
        model = architecture.make()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1 and not weight.any():
                    weight.normal_(std=0.1)
            X = planted("train").X[:_BATCH].float()
            for _ in range(5):
                model.train()(X)
    return architecture.explain(model)


def make_trained(architecture: Architecture) -> nn.Module:
    """Return a model that was trained on planted motifs, the same in each process of a machine."""
    return architecture.explain(deepcopy(_train(architecture)))


def planted(split: Literal["train", "test"]) -> LabelledSplit:
    """Return the planted sequences to train with, or those to explain, of which positives come first."""
    found: LabelledSplit = getattr(_load(), split)
    return found


def mark_sites(split: LabelledSplit) -> Tensor:
    """Return, for each row and position, 0 or the number of the motif from 1; int64, shape (rows, positions)."""
    sites = torch.zeros(len(split.X), split.X.shape[-1], dtype=torch.int64)
    for row, start, end, motif in zip(*split.motifs, strict=True):
        sites[row, start:end] = int(motif) + 1
    return sites


@contextmanager
def seeded() -> Iterator[None]:
    """Draw from a seed, and compute with one thread, so that sums have one order; leave both as they were."""
    with ONE_THREAD.apply(), torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(_SEED)
        yield


@cache
def _load() -> LabelledSequences:
    return load_planted(_SEQUENCES, length=LENGTH, seed=_SEED)


@cache
def _train(architecture: Architecture) -> nn.Module:
    split = planted("train")
    X, labels = split.X.float(), Labels(split.y, mark_sites(split))
    with seeded():
        model = architecture.make().train()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=architecture.rate)
        steps = architecture.epochs * -(-len(X) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, architecture.rate, total_steps=steps)
        for _ in range(architecture.epochs):
            for rows in torch.split(torch.randperm(len(X)), _BATCH):
                optimizer.zero_grad()
                loss = architecture.loss(model(X[rows]), Labels(labels.y[rows], labels.sites[rows]))
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
    optimizer.zero_grad()
    return model.eval()
