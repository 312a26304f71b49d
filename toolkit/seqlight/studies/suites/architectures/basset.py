"""Basset (Kelley, Snoek and Rinn 2016), with functional calls."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import LENGTH, Architecture


class Basset(nn.Module):
    """Convolution, batch normalisation, ``F.relu`` and ``F.max_pool1d``, three times, then linear layers."""

    def __init__(self, length: int = LENGTH) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(4, 32, 19, padding=9), nn.BatchNorm1d(32)
        self.conv2, self.bn2 = nn.Conv1d(32, 32, 11, padding=5), nn.BatchNorm1d(32)
        self.conv3, self.bn3 = nn.Conv1d(32, 32, 7, padding=3), nn.BatchNorm1d(32)
        self.n_features = 32 * (length // 3 // 4 // 4)
        self.fc1, self.bn4 = nn.Linear(self.n_features, 64), nn.BatchNorm1d(64)
        self.fc2, self.bn5 = nn.Linear(64, 64), nn.BatchNorm1d(64)
        self.fc3 = nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each task; shape (rows, tasks)."""
        x = F.max_pool1d(F.relu(self.bn1(self.conv1(x))), 3)
        x = F.max_pool1d(F.relu(self.bn2(self.conv2(x))), 4)
        x = F.max_pool1d(F.relu(self.bn3(self.conv3(x))), 4)
        x = x.view(-1, self.n_features)
        x = F.dropout(F.relu(self.bn4(self.fc1(x))), 0.3, training=self.training)
        x = F.dropout(F.relu(self.bn5(self.fc2(x))), 0.3, training=self.training)
        found: Tensor = self.fc3(x)
        return found


ARCHITECTURE = Architecture("Basset", Basset, "after ports of davek44/Basset to PyTorch, fewer channels", rate=1e-2)
