"""ExplaiNN (Novakovsky and others 2023): a small network for each filter, with an exponential."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import LENGTH, Architecture


class ExpActivation(nn.Module):
    """The exponential (Koo and Ploenzke 2021)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return exponentials."""
        return torch.exp(x)


class Unsqueeze(nn.Module):
    """Adds a last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        """Return one position."""
        return x.unsqueeze(-1)


class ExplaiNN(nn.Module):
    """Units are groups of convolutions; a linear layer weighs them."""

    def __init__(self, units: int = 12, length: int = LENGTH, width: int = 13, pool: int = 7, inner: int = 12) -> None:
        super().__init__()
        self.units = units
        self.linears = nn.Sequential(
            nn.Conv1d(4 * units, units, width, groups=units),
            nn.BatchNorm1d(units),
            ExpActivation(),
            nn.MaxPool1d(pool, pool),
            nn.Flatten(),
            Unsqueeze(),
            nn.Conv1d((length - width + 1) // pool * units, inner * units, 1, groups=units),
            nn.BatchNorm1d(inner * units, 1e-05, 0.1, True),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Conv1d(inner * units, units, 1, groups=units),
            nn.BatchNorm1d(units, 1e-05, 0.1, True),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.final = nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each task; shape (rows, tasks)."""
        found: Tensor = self.final(self.linears(x.repeat(1, self.units, 1)))
        return found


ARCHITECTURE = Architecture(
    "ExplaiNN", ExplaiNN, "after networks.py of wassermanlab/ExplaiNN, fewer units", epochs=8, rate=1e-2
)
