"""Small networks that learn motifs in seconds, always the same ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from seqlight.datasets.labelled import LabelledSplit
from seqlight.prediction.process_settings import ONE_THREAD

# Positions that are pooled together after the first convolution.
POOL = 4
BATCH = 64


def convolutional_network(length: int, filters: int = 24) -> nn.Module:
    """Return two convolutions, a max pooling after each, and two dense layers.

    The second convolution sees 60 positions, enough for two motifs and what is between them.

    Parameters
    ----------
    length : int
        Positions per sequence, a multiple of 4.
    filters : int
    """
    return nn.Sequential(
        nn.Conv1d(4, filters, 9, padding=4),
        nn.ReLU(),
        nn.MaxPool1d(POOL),
        nn.Conv1d(filters, filters, 11, padding=5),
        nn.ReLU(),
        nn.MaxPool1d(length // POOL),
        nn.Flatten(),
        nn.Linear(filters, 16),
        nn.ReLU(),
        nn.Linear(16, 1),
    )


class AttentionNetwork(nn.Module):
    """A convolution with max pooling, one head of attention over what is left, and a dense layer.

    Parameters
    ----------
    length : int
        Positions per sequence, a multiple of 4.
    filters : int
    """

    def __init__(self, length: int, filters: int = 24) -> None:
        super().__init__()
        places = length // POOL
        self.motifs = nn.Sequential(nn.Conv1d(4, filters, 9, padding=4), nn.ReLU(), nn.MaxPool1d(POOL))
        self.places = nn.Parameter(0.1 * torch.randn(places, filters))
        self.query = nn.Linear(filters, filters)
        self.key = nn.Linear(filters, filters)
        self.value = nn.Linear(filters, filters)
        self.softmax = nn.Softmax(dim=-1)
        self.hidden = nn.Linear(2 * filters, filters)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool1d(places)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(filters, 1)

    def forward(self, X: Tensor) -> Tensor:
        """Return an output for each sequence, shape (rows, 1)."""
        found = self.motifs(X).transpose(1, 2)
        placed = found + self.places
        scores = self.query(placed) @ self.key(placed).transpose(1, 2) / placed.shape[2] ** 0.5
        seen = self.softmax(scores) @ self.value(found)
        hidden = self.relu(self.hidden(torch.cat([found, seen], dim=2)))
        pooled: Tensor = self.output(self.flatten(self.pool(hidden.transpose(1, 2))))
        return pooled


def train_network(
    make_network: Callable[[], nn.Module],
    X: Tensor,
    y: Tensor,
    seed: int,
    *,
    epochs: int,
    rate: float = 5e-3,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.binary_cross_entropy_with_logits,
) -> nn.Module:
    """Return a network trained to tell positives from negatives, or with another loss.

    It depends on the seed and on the machine only: one thread computes it, whatever the setting, and no global random
    state is read or changed.

    Parameters
    ----------
    make_network : callable
        Returns the untrained network.
    X : torch.Tensor, shape (rows, letters, positions)
        One-hot.
    y : torch.Tensor, float32, shape (rows,)
        1 for positives, 0 for negatives, or what another loss compares with.
    seed : int
    epochs : int
    rate : float
        The largest learning rate; it falls to nothing along a cosine.
    loss : callable
        Of outputs and `y`, both of shape (rows,).
    """
    # Sums of several threads are rounded otherwise; and these networks are too small for several.
    with ONE_THREAD.apply(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_network().train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
        steps = epochs * -(-len(X) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(X)), BATCH):
                optimizer.zero_grad()
                torch.autograd.backward(loss(model(X[rows].float())[:, 0], y[rows]))
                optimizer.step()
                schedule.step()
        model.zero_grad()
    return model.eval()


def train_ecoli_network(train: LabelledSplit, seed: int = 0, epochs: int = 8) -> nn.Module:
    """Return a convolutional network trained on windows of 60 positions around translation starts."""
    make_network = partial(convolutional_network, train.X.shape[2])
    return train_network(make_network, train.X, train.y, seed, epochs=epochs, rate=2e-3)


@torch.no_grad()
def accuracy(model: nn.Module, X: Tensor, y: Tensor) -> float:
    """Return the share of sequences whose label the network gives."""
    return float(((model(X.float())[:, 0] > 0) == (y > 0.5)).double().mean())
