"""A model that reads both strands and keeps the larger prediction, as selene wraps its models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import Architecture


class NonStrandSpecific(nn.Module):
    """Calls a model with a sequence and with its reverse complement."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return the larger of both predictions; shape (rows, tasks)."""
        output: Tensor = self.model(x)
        reverse: Tensor = self.model(torch.flip(x, dims=(1, 2)))
        return torch.max(output, reverse)


def make() -> nn.Module:
    """Return a small network for both strands."""
    return NonStrandSpecific(
        nn.Sequential(
            nn.Conv1d(4, 32, 13, padding=6),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(32, 32, 5, padding=2),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            nn.Linear(32, 1),
        )
    )


ARCHITECTURE = Architecture(
    "both strands",
    make,
    "after models/non_strand_specific_module.py of FunctionLab/selene, around a small CNN",
)
