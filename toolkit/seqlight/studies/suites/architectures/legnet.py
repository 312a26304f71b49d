"""LegNet (Penzar and others 2023): SiLU, squeeze and excitation with products of pairs, a score as a mean over bins."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture, Labels

_BINS = 18


class Bilinear(nn.Module):
    """A weight of low rank on the products of all pairs of features."""

    def __init__(self, n: int, out: int, rank: int = 2) -> None:
        super().__init__()
        self.left, self.right = nn.Parameter(torch.randn(n, rank) / n), nn.Parameter(torch.randn(n, rank) / n)
        self.out, self.bias = nn.Parameter(torch.randn(rank, out)), nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return features; shape (rows, out)."""
        x = x.unsqueeze(dim=-1)
        pairs = x @ x.transpose(-1, -2)
        return torch.einsum("bij,ir,jr,ro->bo", pairs, self.left, self.right, self.out) + self.bias


class Concater(nn.Module):
    """The input beside what a module makes of it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.mod = module

    def forward(self, x: Tensor) -> Tensor:
        """Return both; shape (rows, features)."""
        return torch.concat((x, self.mod(x)), dim=-1)


class SELayer(nn.Module):
    """Channels times a gate computed from the means of all channels."""

    def __init__(self, inputs: int, outputs: int, reduction: int = 4) -> None:
        super().__init__()
        n = inputs // reduction
        self.fc = nn.Sequential(
            nn.Linear(outputs, n),
            nn.SiLU(),
            nn.Linear(n, n),
            Concater(Bilinear(n, n // 2)),
            nn.SiLU(),
            nn.Linear(n + n // 2, outputs),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, positions)."""
        rows, channels, _ = x.size()
        gate: Tensor = self.fc(x.view(rows, channels, -1).mean(dim=2))
        return x * gate.view(rows, channels, 1)


def conv_block(inputs: int, outputs: int, width: int, groups: int = 1) -> list[nn.Module]:
    """Return a convolution, batch normalisation and SiLU."""
    conv = nn.Conv1d(inputs, outputs, width, padding="same", groups=groups, bias=False)
    return [conv, nn.BatchNorm1d(outputs), nn.SiLU()]


class LegNet(nn.Module):
    """The outputs are log probabilities of bins, and a score, shapes (rows, bins) and (rows,)."""

    bins: Tensor

    def __init__(self, sizes: tuple[int, ...] = (24, 16, 16), width: int = 7, resize: int = 2) -> None:
        super().__init__()
        layers = {"blc0": nn.Sequential(*conv_block(4, sizes[0], width))}
        for i, (before, size) in enumerate(pairwise(sizes)):
            inner = size * resize
            layers[f"inv_res_blc{i}"] = nn.Sequential(
                *conv_block(before, inner, 1),
                *conv_block(inner, inner, width, groups=inner // 2),
                SELayer(before, inner),
                *conv_block(inner, before, 1),
            )
            layers[f"resize_blc{i}"] = nn.Sequential(*conv_block(2 * before, size, width))
        self.n_blocks, self.seqextractor = len(sizes) - 1, nn.ModuleDict(layers)
        self.mapper = nn.Sequential(nn.Conv1d(sizes[-1], _BINS, 1, padding="same"), nn.SiLU())
        self.register_buffer("bins", torch.arange(_BINS))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return log probabilities and the expected bin."""
        x = self.seqextractor["blc0"](x)
        for i in range(self.n_blocks):
            x = torch.cat([x, self.seqextractor[f"inv_res_blc{i}"](x)], dim=1)
            x = self.seqextractor[f"resize_blc{i}"](x)
        x = F.adaptive_avg_pool1d(self.mapper(x), 1).squeeze(2)
        score = (F.softmax(x, dim=1) * self.bins).sum(dim=1)
        return F.log_softmax(x, dim=1), score


class Score(nn.Module):
    """The score of a model that returns log probabilities too."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return scores; shape (rows, 1)."""
        found: Tensor = self.model(x)[1].unsqueeze(-1)
        return found


def bin_loss(outputs: tuple[Tensor, Tensor], labels: Labels) -> Tensor:
    """Return the cross-entropy of bins, of which positives are in a high one."""
    return F.nll_loss(outputs[0], torch.where(labels.y > 0, 13, 4))


ARCHITECTURE = Architecture(
    "LegNet",
    LegNet,
    "after legnet/model.py of autosome-ru/LegNet, fewer channels and layers",
    bin_loss,
    Score,
    epochs=4,
    rate=1e-2,
)
