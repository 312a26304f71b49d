"""The networks that benchmarks explain: CNNs, a recurrent network and a transformer of the field, and small ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A dilated convolution that is added to its input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.relu(self.convolution(x))  # type: ignore[no-any-return]


class Mean(nn.Module):
    """The mean over positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean."""
        return x.mean(dim=-1)


def basset_like(length: int = 600, scale: float = 1.0) -> nn.Module:
    """Three pooled convolutions and two dense layers, after Kelley et al. (2016)."""
    layers: list[nn.Module] = []
    first, second, third = (int(scale * channels) for channels in (300, 200, 200))
    for channels, out, width, pool in [(4, first, 19, 3), (first, second, 11, 4), (second, third, 7, 4)]:
        layers += [nn.Conv1d(channels, out, width, padding=width // 2), nn.BatchNorm1d(out), nn.ReLU()]
        layers += [nn.MaxPool1d(pool)]
    positions = length // 3 // 4 // 4
    layers += [nn.Flatten(), nn.Linear(third * positions, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(1000, 164))


def bpnet_like(width: int = 64) -> nn.Module:
    """One wide and eight dilated residual convolutions of 64 filters, after Avsec et al. (2021); the counts head."""
    body = [Residual(width, 2**i) for i in range(1, 9)]
    return nn.Sequential(nn.Conv1d(4, width, 21, padding=10), nn.ReLU(), *body, Mean(), nn.Linear(width, 1))


def beluga() -> nn.Module:
    """Beluga of the tutorial, after Zhou et al. (2018), with random weights; sequences are images one row high."""
    layers: list[nn.Module] = [nn.Unflatten(1, (4, 1))]
    channels = 4
    for out in (320, 480, 640):
        for _ in range(2):
            layers += [nn.Conv2d(channels, out, (1, 8)), nn.ReLU()]
            channels = out
        layers += [nn.Dropout(0.2), nn.MaxPool2d((1, 4))] if out < 640 else [nn.Dropout(0.5)]
    dense: list[nn.Module] = [nn.Flatten(), nn.Linear(67840, 2003), nn.ReLU(), nn.Linear(2003, 2002)]
    return nn.Sequential(*layers, *dense)


class Block(nn.Module):
    """A pre-norm transformer block with four heads, as it is usually written."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, positions, width)."""
        q, k, v = self.mix(self.norms[0](x)).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.dense(self.norms[1](x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """A convolution over eight positions at a time, two pre-norm blocks, and the mean."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv1d(4, width, 15, stride=8, padding=7), nn.Sequential(Block(width), Block(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, outputs)."""
        return self.head(self.norm(self.blocks(self.stem(x).mT)).mean(1))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention as libraries of language models write it: three layers, heads, scores, softmax and a mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (rows, positions, width)."""
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        scores = torch.matmul(query, key.transpose(-1, -2)) / query.shape[-1] ** 0.5
        weights = self.dropout(nn.functional.softmax(scores + mask, dim=-1))
        mixed = torch.matmul(weights, value).permute(0, 2, 1, 3).contiguous()
        return mixed.view(*mixed.size()[:-2], -1)

    def split(self, x: Tensor) -> Tensor:
        """Return the heads, (rows, heads, positions, width of a head)."""
        return x.view(*x.size()[:-1], self.heads, -1).permute(0, 2, 1, 3)


class EncoderLayer(nn.Module):
    """A post-norm layer of an encoder: attention, its output, and two dense layers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention, self.output = Attention(width, heads), nn.Linear(width, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.wide, self.narrow, self.dropout = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (rows, positions, width)."""
        x = self.norms[0](x + self.dropout(self.output(self.attention(x, mask))))
        return self.norms[1](x + self.dropout(self.narrow(nn.functional.gelu(self.wide(x)))))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """An encoder of some 20,000 parameters, written in the manner of a public library of language models."""

    def __init__(self, width: int = 20, layers: int = 4, positions: int = 12) -> None:
        super().__init__()
        self.embed, self.places = nn.Linear(4, width), nn.Embedding(positions, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(0.1)
        self.layers = nn.ModuleList([EncoderLayer(width, 2) for _ in range(layers)])
        self.pooler, self.head = nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, outputs)."""
        x = x.transpose(1, 2)
        places = torch.arange(x.shape[1], device=x.device).expand(1, -1)
        there = torch.ones(x.shape[:2], dtype=torch.long, device=x.device)
        mask = (1.0 - there[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        x = self.dropout(self.norm(self.embed(x) + self.places(places)))
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(torch.tanh(self.pooler(x[:, 0])))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """A convolution, an LSTM in both directions, and the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.lstm = nn.Conv1d(4, 16, 9, stride=4), nn.LSTM(16, 16, batch_first=True, bidirectional=True)
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, outputs)."""
        return self.head(self.lstm(self.stem(x).relu().mT)[0].mean(1))  # type: ignore[no-any-return]


class DanQ(nn.Module):
    """A convolution, an LSTM in both directions and two dense layers, after Quang and Xie (2016): 1,000 positions."""

    def __init__(self, width: int = 320) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(4, width, 26), nn.ReLU(), nn.MaxPool1d(13), nn.Dropout(0.2))
        self.lstm, self.dropout = nn.LSTM(width, width, batch_first=True, bidirectional=True), nn.Dropout(0.5)
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(75 * 2 * width, 925), nn.ReLU(), nn.Linear(925, 919))

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, outputs)."""
        return self.dense(self.dropout(self.lstm(self.stem(x).mT)[0]))  # type: ignore[no-any-return]


class BothStrands(nn.Module):
    """Causal attention and a softmax written by hand, on both strands in one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = nn.Conv1d(4, 32, 9, stride=8), nn.Linear(32, 96), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, outputs), the mean of both strands."""
        h = self.stem(torch.cat([x, x.flip(1, 2)])).tanh().mT
        q, k, v = self.mix(h).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        h = h + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        forward, reverse = self.head((h * h.softmax(1)).sum(1)).chunk(2)
        return (forward + reverse) / 2  # type: ignore[no-any-return]


def mixed(length: int = 200) -> nn.Module:
    """Return a small network with pooling windows that overlap, batch norm and two activations."""
    pooled = ((length - 8 - 3) // 2 + 1 - 4) // 4
    body = [nn.Conv1d(4, 16, 9), nn.ReLU(inplace=True), nn.MaxPool1d(3, 2), nn.BatchNorm1d(16), nn.Conv1d(16, 16, 5)]
    return nn.Sequential(*body, nn.GELU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(16 * pooled, 3))


def floor(model: nn.Module, X: Tensor, references: Tensor, batch_size: int | None = None) -> Tensor:
    """Return the gradients of plain autograd at the references, all or some of one sequence at a time."""
    found = []
    for x, r in zip(X, references, strict=True):
        with torch.no_grad():
            model(x[None])
        for some in r.split(batch_size or len(r)):
            leaf = some.clone().requires_grad_()
            found.append(torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)[0])
    return torch.cat(found)
