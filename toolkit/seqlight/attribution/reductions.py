"""Reductions of a block over its references: what the CPU needs to know of it, computed where the block is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from seqlight.attribution.contributions import Block, hypothetical_contributions, result_dtype

# From a block, in float64 where it has to add, to a few small tensors.
Reduction: TypeAlias = Callable[[Block], tuple[Tensor, ...]]


def reduce_to_mean(block: Block) -> tuple[Tensor, ...]:
    """Return the mean hypothetical contributions to the first input, (sequences, targets, letters, positions)."""
    return (_contributions(block).mean(dim=2).to(result_dtype(block.multipliers[0])),)


def reduce_to_moments(block: Block) -> tuple[Tensor, ...]:
    """Return the mean hypothetical contributions, and the sum of the squared distances from it, both in float64."""
    contributions = _contributions(block)
    mean = contributions.mean(dim=2, keepdim=True)
    # This takes a quarter of the time of torch.std_mean.
    return mean.squeeze(2), (contributions - mean).square_().sum(dim=2)


def reduce_to_standard_error(block: Block) -> tuple[Tensor, ...]:
    """Return the mean hypothetical contributions and their standard error, NaN for a single reference."""
    (mean, squares), n, dtype = reduce_to_moments(block), block.deltas.shape[2], result_dtype(block.deltas)
    return mean.to(dtype), (squares / (n * (n - 1))).sqrt_().to(dtype)


def keep_multipliers(block: Block) -> tuple[Tensor, ...]:
    """Return the multipliers of each input, in full."""
    return block.multipliers


def _contributions(block: Block) -> Tensor:
    """Return the hypothetical contributions to the first input against each reference, in float64."""
    return hypothetical_contributions(block.multipliers[0], block.references[0].unsqueeze(1))
