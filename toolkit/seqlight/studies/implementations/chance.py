"""Contributions drawn at random: the floor that any implementation has to leave behind."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.implementations.implementation import Implementation


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return normal numbers, (rows, positions), whatever the model."""
    stream = torch.Generator().manual_seed(random_state)
    return torch.randn(len(X), X.shape[2], generator=stream, dtype=X.dtype)


CHANCE = Implementation(
    name="chance",
    title="chance",
    package="seqlight",
    contributions=_contributions,
    by_default=False,
)
