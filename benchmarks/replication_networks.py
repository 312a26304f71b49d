"""The networks of the replication: with max pooling, and residual ones without."""

from __future__ import annotations

from spike_ins import LENGTH
from torch import Tensor, nn


class Residual(nn.Module):
    """A dilated convolution whose output is added to its input."""

    def __init__(self, filters: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(filters, filters, 3, padding=dilation, dilation=dilation)
        self.relu = nn.ReLU()

    def forward(self, X: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return X + self.relu(self.convolution(X))


def pooled_network(filters: int = 48) -> nn.Module:
    """Return convolutions with a max pooling after the first ReLU, where Captum's DeepLift is not complete."""
    return nn.Sequential(
        nn.Conv1d(4, filters, 9, padding=4),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(filters, filters, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool1d(LENGTH // 4),
        nn.Flatten(),
        nn.Linear(filters, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )


def residual_network(filters: int = 48) -> nn.Module:
    """Return residual convolutions without max pooling, where Captum's DeepLift is complete."""
    return nn.Sequential(
        nn.Conv1d(4, filters, 9, padding=4),
        nn.ReLU(),
        Residual(filters, 1),
        Residual(filters, 2),
        nn.AvgPool1d(LENGTH),
        nn.Flatten(),
        nn.Linear(filters, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )
