"""Enformer (Avsec and others 2021): convolutions with attention pooling, and attention with relative positions."""

from __future__ import annotations

import torch
from torch import Tensor, einsum, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture
from seqlight.studies.suites.architectures.basenji import TotalRate, poisson_loss
from seqlight.studies.suites.architectures.relative_positions import relative_features, relative_shift


class Residual(nn.Module):
    """A module added to its input."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        y: Tensor = self.fn(x)
        return y + x


class SigmoidGELU(nn.Module):
    """GELU as sigmoid(1.702 x) x."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        return torch.sigmoid(1.702 * x) * x


class Swap(nn.Module):
    """Exchanges channels and positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the last two dimensions in the other order."""
        return x.transpose(1, 2)


class AttentionPool(nn.Module):
    """A mean over pairs of positions, weighted by a softmax of what they hold."""

    def __init__(self, dim: int, pool_size: int = 2) -> None:
        super().__init__()
        self.pool_size = pool_size
        self.to_attn_logits = nn.Parameter(torch.eye(dim))

    def pool_fn(self, x: Tensor) -> Tensor:
        """Return the positions in pools; shape (rows, channels, pools, positions)."""
        return x.reshape(*x.shape[:2], -1, self.pool_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, pools)."""
        rows, _, length = x.shape
        missing = length % self.pool_size
        if missing:
            x = F.pad(x, (0, missing), value=0)
            mask = torch.zeros((rows, 1, length), dtype=torch.bool, device=x.device)
            mask = F.pad(mask, (0, missing), value=True)
        logits = self.pool_fn(einsum("b d n, d e -> b e n", x, self.to_attn_logits))
        if missing:
            logits = logits.masked_fill(self.pool_fn(mask), -torch.finfo(logits.dtype).max)
        return (self.pool_fn(x) * logits.softmax(dim=-1)).sum(dim=-1)


def conv_block(dim: int, dim_out: int, kernel_size: int = 1) -> nn.Module:
    """Return batch normalisation, GELU and a convolution."""
    conv = nn.Conv1d(dim, dim_out, kernel_size, padding=kernel_size // 2)
    return nn.Sequential(nn.BatchNorm1d(dim), SigmoidGELU(), conv)


class Attention(nn.Module):
    """Attention of queries to keys and to features of the distance."""

    def __init__(self, dim: int, heads: int = 4, dim_key: int = 8) -> None:
        super().__init__()
        self.heads, self.scale, self.features = heads, dim_key**-0.5, dim // heads
        self.to_q = nn.Linear(dim, dim_key * heads, bias=False)
        self.to_k = nn.Linear(dim, dim_key * heads, bias=False)
        self.to_v = nn.Linear(dim, dim, bias=False)
        self.to_out = nn.Linear(dim, dim)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)
        self.to_rel_k = nn.Linear(self.features, dim_key * heads, bias=False)
        self.rel_content_bias = nn.Parameter(torch.randn(1, heads, 1, dim_key))
        self.rel_pos_bias = nn.Parameter(torch.randn(1, heads, 1, dim_key))
        self.attn_dropout = nn.Dropout(0.05)

    def split(self, x: Tensor) -> Tensor:
        """Return the heads apart; shape (..., heads, positions, channels)."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(-2, -3)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, positions, channels)."""
        q, k, v = (self.split(to(x)) for to in (self.to_q, self.to_k, self.to_v))
        q = q * self.scale
        content = einsum("b h i d, b h j d -> b h i j", q + self.rel_content_bias, k)
        rel_k = self.split(self.to_rel_k(relative_features(x.shape[-2], self.features, self.to_rel_k.weight)))
        distances = einsum("b h i d, h j d -> b h i j", q + self.rel_pos_bias, rel_k)
        attention = self.attn_dropout((content + relative_shift(distances)).softmax(dim=-1))
        out = einsum("b h i j, b h j d -> b h i d", attention, v)
        found: Tensor = self.to_out(out.transpose(1, 2).flatten(2))
        return found


class Enformer(nn.Module):
    """The output is a rate for each bin and track; shape (rows, bins, tracks)."""

    def __init__(self, dim: int = 48, depth: int = 2, tracks: int = 2, crop: int = 2) -> None:
        super().__init__()
        half = dim // 2
        self.stem = nn.Sequential(
            nn.Conv1d(4, half, 15, padding=7), Residual(conv_block(half, half)), AttentionPool(half)
        )
        self.tower = nn.Sequential(
            *[
                nn.Sequential(conv_block(inputs, dim, 5), Residual(conv_block(dim, dim)), AttentionPool(dim))
                for inputs in (half, dim)
            ]
        )
        self.transformer = nn.Sequential(Swap(), *[self._layer(dim) for _ in range(depth)])
        self.crop = crop
        self.final = nn.Sequential(Swap(), conv_block(dim, 2 * dim), Swap(), nn.Dropout(0.05), SigmoidGELU())
        self.head = nn.Sequential(nn.Linear(2 * dim, tracks), nn.Softplus())

    @staticmethod
    def _layer(dim: int) -> nn.Module:
        forward = (nn.Linear(dim, 2 * dim), nn.Dropout(0.1), nn.ReLU(), nn.Linear(2 * dim, dim), nn.Dropout(0.1))
        return nn.Sequential(
            Residual(nn.Sequential(nn.LayerNorm(dim), Attention(dim), nn.Dropout(0.1))),
            Residual(nn.Sequential(nn.LayerNorm(dim), *forward)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return rates."""
        x = self.transformer(self.tower(self.stem(x)))
        found: Tensor = self.head(self.final(x[:, self.crop : -self.crop]))
        return found


ARCHITECTURE = Architecture(
    "Enformer",
    Enformer,
    "after lucidrains/enformer-pytorch, fewer channels and layers, einsum without einops",
    poisson_loss,
    TotalRate,
    epochs=4,
)
