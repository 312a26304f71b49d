"""Nine networks of a few lines each, which differ in one thing: the first matrix of this kind was of such ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import LENGTH, seeded
from seqlight.studies.suites.architectures.gated_cnn import GatedBlock


class FunctionalReLU(nn.Module):
    """``F.relu`` between two convolutions, and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Conv1d(4, 16, 9), nn.Conv1d(16, 16, 5), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one column."""
        found: Tensor = self.last(F.relu(self.two(F.relu(self.one(x)))).mean(dim=-1))
        return found


class SharedReLU(nn.Module):
    """One ``nn.ReLU`` that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = nn.Conv1d(4, 16, 9), nn.Conv1d(16, 16, 5), nn.Linear(16, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return one column."""
        found: Tensor = self.last(self.relu(self.two(self.relu(self.one(x)))).mean(dim=-1))
        return found


class EncoderLayer(nn.Module):
    """A convolution and a transformer layer with GELU and layer normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.last = nn.Conv1d(4, 16, 9, stride=3), nn.Linear(16, 1)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return one column."""
        found: Tensor = self.last(self.layer(self.one(x).transpose(1, 2)).mean(dim=1))
        return found


class BiLSTM(nn.Module):
    """A convolution, a max pool and a bidirectional LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv1d(4, 16, 9), nn.ReLU(), nn.MaxPool1d(4))
        self.lstm, self.last = nn.LSTM(16, 8, batch_first=True, bidirectional=True), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one column."""
        found: Tensor = self.last(self.lstm(self.one(x).transpose(1, 2))[0].mean(dim=1))
        return found


class ResidualReLU(nn.Module):
    """Dilated convolutions with ReLU modules, each added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Sequential(nn.Conv1d(4, 16, 9, padding=4), nn.ReLU()), nn.Linear(16, 1)
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Conv1d(16, 16, 3, padding=d, dilation=d), nn.ReLU()) for d in (2, 4, 8)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return one column."""
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        found: Tensor = self.last(x.mean(dim=-1))
        return found


class AttentionPooling(nn.Module):
    """Features weighted by a softmax over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv1d(4, 16, 9), nn.ReLU())
        self.score, self.last = nn.Conv1d(16, 1, 1), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one column."""
        h = self.one(x)
        found: Tensor = self.last((h * torch.softmax(4 * self.score(h), dim=-1)).sum(dim=-1))
        return found


class Gated(nn.Module):
    """A convolution times the sigmoid of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.gated, self.last = nn.Conv1d(4, 16, 9), GatedBlock(16, 5), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one column."""
        found: Tensor = self.last(self.gated(self.one(x)).mean(dim=-1))
        return found


def relu_cnn() -> nn.Module:
    """Return a network with a ReLU module for each layer."""
    layers = (nn.Conv1d(4, 16, 9), nn.ReLU(), nn.Conv1d(16, 16, 5), nn.ReLU())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 1))


def overlapping_max_pool() -> nn.Module:
    """Return a network with max pools that overlap."""
    layers = (nn.Conv1d(4, 16, 9), nn.ReLU(), nn.MaxPool1d(4, 2), nn.Conv1d(16, 16, 5), nn.ReLU(), nn.MaxPool1d(4, 2))
    length = ((LENGTH - 8 - 4) // 2 + 1 - 4 - 4) // 2 + 1
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * length, 1))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "relu CNN": relu_cnn,
    "functional relu": FunctionalReLU,
    "shared ReLU": SharedReLU,
    "overlapping max pool": overlapping_max_pool,
    "GELU and LayerNorm transformer": EncoderLayer,
    "biLSTM": BiLSTM,
    "residual BPNet": ResidualReLU,
    "attention pooling": AttentionPooling,
    "gated": Gated,
}


def make_network(name: str) -> nn.Module:
    """Return one of the networks, the same in each process."""
    with seeded():
        return NETWORKS[name]().eval()


def makers() -> dict[str, Callable[[], nn.Module]]:
    """Return functions that make the networks, by name."""
    return {name: partial(make_network, name) for name in NETWORKS}
