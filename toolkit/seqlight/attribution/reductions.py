"""Reductions of a block over its references: what the CPU needs to know of it, computed where the block is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from seqlight.attribution.contributions import Block, hypothetical_contributions, result_dtype, stack_targets

# From a block, in float64 where it has to add, to a few small tensors.
Reduction: TypeAlias = Callable[[Block], tuple[Tensor, ...]]


def reduce_to_mean(block: Block) -> tuple[Tensor, ...]:
    """Return the mean hypothetical contributions to the first input, (sequences, targets, letters, positions)."""
    dtype = result_dtype(block.multipliers[0])
    return _for_each_target(block, lambda contributions: (contributions.mean(dim=1).to(dtype),))


def reduce_to_moments(block: Block) -> tuple[Tensor, ...]:
    """Return the mean hypothetical contributions, and the sum of the squared distances from it, both in float64."""
    return _for_each_target(block, _moments)


def reduce_to_standard_error(block: Block) -> tuple[Tensor, ...]:
    """Return the mean hypothetical contributions and their standard error, NaN for a single reference."""
    n, dtype = block.deltas.shape[2], result_dtype(block.deltas)

    def reduce(contributions: Tensor) -> tuple[Tensor, ...]:
        mean, squares = _moments(contributions)
        return mean.to(dtype), (squares / (n * (n - 1))).sqrt_().to(dtype)

    return _for_each_target(block, reduce)


def keep_multipliers(block: Block) -> tuple[Tensor, ...]:
    """Return the multipliers of each input, in full."""
    return block.multipliers


def _moments(contributions: Tensor) -> tuple[Tensor, ...]:
    """Return the mean over references, and the sum of the squared distances from it."""
    mean = contributions.mean(dim=1, keepdim=True)
    # This takes a quarter of the time of torch.std_mean.
    return mean.squeeze(1), (contributions - mean).square_().sum(dim=1)


def _for_each_target(block: Block, reduce: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Return what `reduce` returns for the contributions (sequences, references, letters, positions) to each target.

    One target at a time, since all contributions in float64 take more memory than anything else of a block.
    """
    each = [reduce(hypothetical_contributions(m, block.references[0])) for m in block.multipliers[0].unbind(1)]
    return tuple(stack_targets(some) for some in zip(*each, strict=True))
