"""A transformer encoder of PyTorch over words of convolution, as many models of the field have it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import Architecture


class PositionalEncoding(nn.Module):
    """Sines and cosines of the position, added."""

    pe: Tensor

    def __init__(self, d_model: int, max_len: int = 200) -> None:
        super().__init__()
        position = torch.arange(max_len)[:, None]
        frequency = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(1, max_len, d_model)
        pe[0, :, 0::2] = torch.sin(position * frequency)
        pe[0, :, 1::2] = torch.cos(position * frequency)
        self.register_buffer("pe", pe)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum; shape (rows, positions, channels)."""
        return x + self.pe[:, : x.size(1)]


class Transformer(nn.Module):
    """``nn.TransformerEncoder`` with its defaults, a layer normalisation after each block, and a token to read from."""

    def __init__(self, d_model: int = 32, nhead: int = 4, num_layers: int = 2, word: int = 13) -> None:
        super().__init__()
        self.embedding = nn.Conv1d(4, d_model, word, stride=3)
        self.cls = nn.Parameter(torch.randn(1, 1, d_model) * 0.02)
        self.positions = PositionalEncoding(d_model)
        layer = nn.TransformerEncoderLayer(d_model, nhead, dim_feedforward=64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=num_layers)
        self.head = nn.Linear(d_model, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each task; shape (rows, tasks)."""
        h = self.embedding(x).permute(0, 2, 1)
        h = torch.cat([self.cls.expand(h.size(0), -1, -1), h], dim=1)
        h = self.encoder(self.positions(h * math.sqrt(h.size(-1))))
        found: Tensor = self.head(h[:, 0])
        return found


ARCHITECTURE = Architecture("transformer", Transformer, "nn.TransformerEncoder of PyTorch, small", rate=5e-3)
