"""Mamba (Gu and Dao 2023) in plain PyTorch: a recurrence whose steps depend on the input."""

from __future__ import annotations

import torch
from torch import Tensor, einsum, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture


class RMSNorm(nn.Module):
    """Division by the root of the mean square, written out."""

    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """Return channels of mean square 1."""
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class MambaBlock(nn.Module):
    """A short convolution, the selective scan, and a gate."""

    def __init__(self, d_model: int, d_inner: int = 32, d_state: int = 4, dt_rank: int = 2) -> None:
        super().__init__()
        self.d_inner, self.d_state, self.dt_rank = d_inner, d_state, dt_rank
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = nn.Conv1d(d_inner, d_inner, 4, groups=d_inner, padding=3)
        self.x_proj = nn.Linear(d_inner, dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(dt_rank, d_inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, d_state + 1).float().repeat(d_inner, 1)))
        self.D = nn.Parameter(torch.ones(d_inner))
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, positions, channels)."""
        length = x.size(1)
        x, res = self.in_proj(x).split(split_size=[self.d_inner, self.d_inner], dim=-1)
        x = F.silu(self.conv1d(x.transpose(1, 2))[:, :, :length].transpose(1, 2))
        found: Tensor = self.out_proj(self.ssm(x) * F.silu(res))
        return found

    def ssm(self, x: Tensor) -> Tensor:
        """Return the outputs of the state space model whose steps depend on the input."""
        A = -torch.exp(self.A_log)
        delta, B, C = self.x_proj(x).split(split_size=[self.dt_rank, self.d_state, self.d_state], dim=-1)
        return self.selective_scan(x, F.softplus(self.dt_proj(delta)), A, B, C)

    def selective_scan(self, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        """Return outputs of the recurrence, position by position; shape (rows, positions, channels)."""
        deltaA = torch.exp(einsum("bld,dn->bldn", delta, A))
        deltaB_u = einsum("bld,bln,bld->bldn", delta, B, u)
        state = torch.zeros((u.size(0), self.d_inner, self.d_state), device=u.device)
        ys = []
        for i in range(u.size(1)):
            state = deltaA[:, i] * state + deltaB_u[:, i]
            ys.append(einsum("bdn,bn->bd", state, C[:, i]))
        return torch.stack(ys, dim=1) + u * self.D


class Mamba(nn.Module):
    """A convolution that shortens the sequence, residual blocks, the mean over positions."""

    def __init__(self, d_model: int = 32, n_layer: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(4, d_model, 13, stride=4, padding=6), nn.SiLU())
        self.norms = nn.ModuleList([RMSNorm(d_model) for _ in range(n_layer)])
        self.mixers = nn.ModuleList([MambaBlock(d_model) for _ in range(n_layer)])
        self.norm_f, self.head = RMSNorm(d_model), nn.Linear(d_model, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each task; shape (rows, tasks)."""
        h = self.stem(x).transpose(1, 2)
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            h = mixer(norm(h)) + h
        found: Tensor = self.head(self.norm_f(h).mean(dim=1))
        return found


ARCHITECTURE = Architecture(
    "Mamba",
    Mamba,
    "after johnma2006/mamba-minimal, behind a convolution of stride 4, einsum without einops",
    epochs=8,
    rate=2e-2,
)
