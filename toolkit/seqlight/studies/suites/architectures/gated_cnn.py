"""Gated convolutions (Dauphin and others 2017), in two spellings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture


class GatedBlock(nn.Module):
    """A convolution times the sigmoid of another one, added to the input."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, width, padding=width // 2)
        self.gate = nn.Conv1d(channels, channels, width, padding=width // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, positions)."""
        return x + torch.mul(self.conv(x), torch.sigmoid(self.gate(x)))


class GatedCNN(nn.Module):
    """``F.glu`` on the letters, gated blocks, the largest and the mean of each channel."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 2 * channels, 13, padding=6)
        self.blocks = nn.Sequential(GatedBlock(channels, 5), GatedBlock(channels, 5))
        self.head = nn.Sequential(nn.Linear(2 * channels, 32), nn.GLU(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each task; shape (rows, tasks)."""
        h = self.blocks(F.glu(self.stem(x), dim=1))
        found: Tensor = self.head(torch.cat([h.amax(dim=-1), h.mean(dim=-1)], dim=1))
        return found


ARCHITECTURE = Architecture("gated CNN", GatedCNN, "gates as in Dauphin and others 2017, small")
