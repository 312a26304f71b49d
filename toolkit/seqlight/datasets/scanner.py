"""A small network that finds motifs: enough to solve the planted task, and something to start from."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MotifScanner(nn.Module):
    """The best match of each filter in the sequence, followed by two linear layers.

    Parameters
    ----------
    filters : int
        The number of motifs to look for.
    width : int
        Positions per filter; an odd number.
    hidden : int
        Units of the layer before the output.
    outputs : int
        The number of outputs.
    dropout : float
        The share of filters that are dropped in a training step.
    letters : int
        Letters of the sequences.

    Examples
    --------
    >>> import torch
    >>> from seqlight.datasets.scanner import MotifScanner
    >>> MotifScanner()(torch.zeros(3, 4, 100)).shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        filters: int = 48,
        width: int = 13,
        hidden: int = 32,
        outputs: int = 1,
        dropout: float = 0.1,
        letters: int = 4,
    ) -> None:
        super().__init__()
        self.scan = nn.Conv1d(letters, filters, width, padding=width // 2)
        self.weigh = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(filters, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, X: Tensor) -> Tensor:
        """Return the outputs for one-hot sequences of shape (sequences, letters, positions)."""
        found: Tensor = self.weigh(torch.relu(self.scan(X)).amax(dim=-1))
        return found
