"""Features of distances between positions, as Enformer has them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def relative_features(length: int, features: int, like: Tensor) -> Tensor:
    """Return features of each distance from 1 - length to length - 1, of the dtype and on the device of `like`.

    Exponentials, masks around the centre and densities of gamma distributions, each also with the sign of the distance.
    """
    distances = torch.arange(1 - length, length, device=like.device).to(like.dtype)
    each = features // 6
    kinds = (_exponential, _central_mask, _gamma)
    found = torch.cat([kind(distances.abs()[:, None], each, length) for kind in kinds], dim=-1)
    return torch.cat((found, torch.sign(distances)[:, None] * found), dim=-1)


def relative_shift(x: Tensor) -> Tensor:
    """Return the logits of query and key, from those of query and distance; (rows, heads, queries, distances)."""
    x = torch.cat((torch.zeros_like(x[..., :1]), x), dim=-1)
    _, heads, queries, distances = x.shape
    x = x.reshape(-1, heads, distances, queries)[:, :, 1:, :]
    x = x.reshape(-1, heads, queries, distances - 1)
    return x[..., : (distances + 1) // 2]


def _exponential(distance: Tensor, features: int, length: int) -> Tensor:
    half_life = 2 ** torch.linspace(3, max(math.log2(length), 3), features).to(distance)
    return torch.exp(-math.log(2) / half_life * distance)


def _central_mask(distance: Tensor, features: int, length: int) -> Tensor:
    widths = 2 ** torch.arange(1, features + 1).to(distance) - 1
    return (widths > distance).to(distance.dtype)


def _gamma(distance: Tensor, features: int, length: int) -> Tensor:
    deviation = length / (2 * features)
    mean = torch.linspace(length / features, length, features).to(distance)
    concentration, rate = (mean / deviation) ** 2, mean / deviation**2
    log_density = torch.xlogy(concentration - 1, distance) - rate * distance
    log_density = log_density - (torch.lgamma(concentration) - concentration * torch.log(rate))
    density = torch.exp(log_density) + 1e-8
    return density / torch.amax(density)
