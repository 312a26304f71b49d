"""Hyena (Poli and others 2023; HyenaDNA, Nguyen and others 2023): gates and convolutions as long as the sequence."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import LENGTH, Architecture


def fftconv(u: Tensor, k: Tensor, D: Tensor) -> Tensor:
    """Return the convolution of signals with filters of their length, by Fourier transforms; (..., positions)."""
    length = u.shape[-1]
    size = 2 * length
    k_f = torch.fft.rfft(k, n=size) / size
    u_f = torch.fft.rfft(u.to(dtype=k.dtype), n=size)
    y: Tensor = torch.fft.irfft(u_f * k_f, n=size, norm="forward")[..., :length]
    return (y + u * D.unsqueeze(-1)).to(dtype=u.dtype)


class Sin(nn.Module):
    """A sine of learned frequencies."""

    def __init__(self, dim: int, w: float = 10) -> None:
        super().__init__()
        self.freq = nn.Parameter(w * torch.ones(1, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sines."""
        return torch.sin(self.freq * x)


class HyenaFilter(nn.Module):
    """A filter that is a function of the position: a small network, faded by exponentials."""

    def __init__(self, channels: int, length: int, order: int = 16, bands: int = 2) -> None:
        super().__init__()
        t = torch.linspace(0, 1, length)[:, None]
        angle = torch.linspace(1e-4, bands - 1, bands) * 2 * math.pi * torch.arange(length)[:, None] / length
        z = torch.exp(-1j * angle)
        self.z = nn.Parameter(torch.cat([t, z.real, z.imag], dim=-1), requires_grad=False)
        self.t = nn.Parameter(t, requires_grad=False)
        self.deltas = nn.Parameter(torch.linspace(math.log(1e-2) / 1.5, math.log(1e-2) / 0.3, channels)[None])
        act = Sin(order)
        self.implicit_filter = nn.Sequential(
            nn.Linear(1 + 2 * bands, order), act, nn.Linear(order, order), act, nn.Linear(order, channels, bias=False)
        )

    def forward(self, length: int) -> Tensor:
        """Return filters; shape (positions, channels)."""
        h: Tensor = self.implicit_filter(self.z[:length])
        return h * torch.exp(-self.t[:length] * self.deltas.abs())


class HyenaOperator(nn.Module):
    """Projections, a short convolution, then gates and long convolutions in turn."""

    def __init__(self, d_model: int, length: int, order: int = 2) -> None:
        super().__init__()
        self.d_model, self.length, self.order = d_model, length, order
        width = d_model * (order + 1)
        self.in_proj, self.out_proj = nn.Linear(d_model, width), nn.Linear(d_model, d_model)
        self.short_filter = nn.Conv1d(width, width, 3, padding=2, groups=width)
        self.filter_fn = HyenaFilter(d_model * (order - 1), length)
        self.bias = nn.Parameter(torch.randn(d_model * (order - 1)))

    def forward(self, u: Tensor) -> Tensor:
        """Return channels; shape (rows, positions, channels)."""
        length = min(u.size(-2), self.length)
        u = self.in_proj(u).transpose(1, 2)
        *x, v = self.short_filter(u)[..., :length].split(self.d_model, dim=1)
        k = self.filter_fn(length).t().reshape(self.order - 1, self.d_model, length)
        bias = self.bias.reshape(self.order - 1, self.d_model)
        for o, gate in enumerate(reversed(x[1:])):
            v = fftconv(v * gate, k[o], bias[o])
        found: Tensor = self.out_proj((v * x[0]).transpose(1, 2))
        return found


class HyenaBlock(nn.Module):
    """Layer normalisation before the operator and before two linear layers with a GELU of tanh."""

    def __init__(self, d_model: int, length: int) -> None:
        super().__init__()
        self.norm1, self.mixer = nn.LayerNorm(d_model), HyenaOperator(d_model, length)
        self.norm2, self.fc1 = nn.LayerNorm(d_model), nn.Linear(d_model, 2 * d_model)
        self.fc2 = nn.Linear(2 * d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, positions, channels)."""
        x = x + self.mixer(self.norm1(x))
        y: Tensor = self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))
        return x + y


class Hyena(nn.Module):
    """Letters as vectors, blocks, the mean over positions."""

    def __init__(self, d_model: int = 24, n_layer: int = 2, length: int = LENGTH) -> None:
        super().__init__()
        self.embedding = nn.Linear(4, d_model, bias=False)
        self.layers = nn.ModuleList([HyenaBlock(d_model, length) for _ in range(n_layer)])
        self.ln_f, self.head = nn.LayerNorm(d_model), nn.Linear(d_model, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each task; shape (rows, tasks)."""
        h = self.embedding(x.transpose(1, 2))
        for layer in self.layers:
            h = layer(h)
        found: Tensor = self.head(self.ln_f(h).mean(dim=1))
        return found


ARCHITECTURE = Architecture(
    "Hyena",
    Hyena,
    "after standalone_hyenadna.py of HazyResearch/hyena-dna, fewer channels and layers",
    epochs=8,
    rate=5e-3,
)
