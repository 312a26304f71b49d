"""A trunk with two heads, in which one ReLU and one dropout serve everywhere."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture, Labels


class MultiTask(nn.Module):
    """The columns are a logit and an activity."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(4, channels, 13, padding=6)
        self.conv2 = nn.Conv1d(channels, channels, 7, padding=3)
        self.fc = nn.Linear(channels * 3, 32)
        self.classifier, self.regressor = nn.Linear(32, 1), nn.Linear(32, 1)
        self.relu, self.pool, self.dropout = nn.ReLU(), nn.MaxPool1d(4), nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Return both; shape (rows, 2)."""
        h = self.pool(self.relu(self.conv1(x)))
        h = self.dropout(self.pool(self.relu(self.conv2(h))))
        h = F.adaptive_max_pool1d(h, 3).flatten(1)
        h = self.dropout(self.relu(self.fc(h)))
        return torch.cat([self.classifier(h), self.regressor(h)], dim=1)


def two_losses(outputs: Tensor, labels: Labels) -> Tensor:
    """Return the cross-entropy of the logit and the square error of the activity."""
    label = F.binary_cross_entropy_with_logits(outputs[:, 0], labels.y)
    return label + F.mse_loss(outputs[:, 1], 2 * labels.y)


ARCHITECTURE = Architecture(
    "two heads", MultiTask, "two tasks over one trunk, one nn.ReLU() for all layers", two_losses
)
