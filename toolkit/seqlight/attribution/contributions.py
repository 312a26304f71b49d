"""Multipliers of a block of sequences against their references, and the contributions that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class Pairs(NamedTuple):
    """Some sequences, and the references that each of them is compared with.

    Attributes
    ----------
    first, last : int
        The sequences ``first <= i < last``.
    references : sequence of torch.Tensor, each of shape (sequences, references, ...)
        For each input.
    """

    first: int
    last: int
    references: Sequence[Tensor]

    def divide(self, rows: int) -> list[Pairs]:
        """Return the pairs of at most `rows` sequences at a time."""
        return [
            Pairs(first, min(first + rows, self.last), [one[first - self.first :][:rows] for one in self.references])
            for first in range(self.first, self.last, rows)
        ]

    def only(self, i: int, k: int) -> Pairs:
        """Return sequence `i` of these, with its reference `k` alone."""
        return Pairs(self.first + i, self.first + i + 1, [one[i : i + 1, k : k + 1] for one in self.references])


@dataclass(frozen=True)
class Block:
    """The results for a few sequences, all with the same number of references, on the device that computed them.

    Attributes
    ----------
    multipliers : tuple of torch.Tensor, each of shape (sequences, targets, references, ...)
        For each input.
    references : tuple of torch.Tensor, each of shape (sequences, references, ...)
        For each input.
    deltas : torch.Tensor, shape (sequences, targets, references)
        Convergence deltas: sums of contributions minus differences of outputs.
    outputs : torch.Tensor, shape (sequences, targets)
        Outputs of the model for the sequences.
    baselines : torch.Tensor, shape (sequences, targets, references)
        Outputs of the model for the references.
    layers : tuple of torch.Tensor
        What :meth:`seqlight.attribution.engine.layer_taps.LayerTaps.close` returns, if layers are read.
    """

    multipliers: tuple[Tensor, ...]
    references: tuple[Tensor, ...]
    deltas: Tensor
    outputs: Tensor
    baselines: Tensor
    layers: tuple[Tensor, ...] = ()

    def cpu(self) -> Block:
        """Return a copy on the CPU."""
        m, r = ([one.cpu() for one in some] for some in (self.multipliers, self.references))
        return self.with_figures(tuple(m), tuple(r), [one.cpu() for one in self.figures])

    @property
    def figures(self) -> tuple[Tensor, ...]:
        """All but multipliers and references, each with the sequences as its first dimension."""
        return self.deltas, self.outputs, self.baselines, *self.layers

    @classmethod
    def with_figures(
        cls, multipliers: tuple[Tensor, ...], references: tuple[Tensor, ...], figures: Sequence[Tensor]
    ) -> Block:
        """Return a block that has `figures`."""
        deltas, outputs, baselines, *layers = figures
        return cls(multipliers, references, deltas, outputs, baselines, tuple(layers))

    @cached_property
    def differences(self) -> Tensor:
        """The output differences that are explained, (sequences, targets, references)."""
        return self.outputs.unsqueeze(2) - self.baselines

    @cached_property
    def absolute_deltas(self) -> Tensor:
        """The sizes of the deltas, (sequences, targets, references)."""
        return self.deltas.abs()

    @cached_property
    def rounding(self) -> Tensor:
        """The part of each delta that may be rounding error, (sequences, targets, references)."""
        sizes = torch.maximum(self.outputs.abs().unsqueeze(2), self.baselines.abs())
        return sizes.mul_(100 * torch.finfo(sizes.dtype).eps)


def concatenate_references(blocks: Sequence[Block]) -> Block:
    """Join blocks of the same sequences along their references."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        tuple(torch.cat(some, dim=2) for some in zip(*(one.multipliers for one in blocks), strict=True)),
        tuple(torch.cat(some, dim=1) for some in zip(*(one.references for one in blocks), strict=True)),
        torch.cat([one.deltas for one in blocks], dim=2),
        blocks[0].outputs,
        torch.cat([one.baselines for one in blocks], dim=2),
        _concatenate_layers([one.layers for one in blocks]),
    )


def _concatenate_layers(parts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Join what layers contribute in blocks of the same sequences: sums over references, and totals of each pair."""
    if not parts[0]:
        return ()
    *sums, totals = zip(*parts, strict=True)
    return *(torch.stack(some).sum(0) for some in sums), torch.cat(totals, dim=2)


def make_block(
    inputs: Sequence[Tensor],
    references: Sequence[Tensor],
    multipliers: Sequence[Sequence[Tensor]],
    outputs: Tensor,
    baselines: Tensor,
) -> Block:
    """Sort the results of one batch of references by sequence, and compute the deltas.

    Parameters
    ----------
    inputs : sequence of torch.Tensor, each of shape (sequences, ...)
    references : sequence of torch.Tensor, each of shape (n * sequences, ...)
        Reference k of sequence i is row ``k * sequences + i``, here and below.
    multipliers : sequence of sequences of torch.Tensor, shapes of `references`
        For each target and each input.
    outputs : torch.Tensor, shape (sequences, targets)
    baselines : torch.Tensor, shape (n * sequences, targets)

    Returns
    -------
    Block
        On the device of the inputs.
    """
    # A model, or a function of its output, may end on another device, such as the CPU.
    outputs, baselines = outputs.to(inputs[0].device), baselines.to(inputs[0].device)
    n = len(baselines) // len(outputs)

    def by_sequence(one: Tensor) -> Tensor:
        return one.detach().view(n, -1, *one.shape[1:]).transpose(0, 1)

    r = [by_sequence(one) for one in references]
    m = [[by_sequence(one) for one in each] for each in multipliers]
    f = by_sequence(baselines).transpose(1, 2)
    steps = [x.unsqueeze(1) - one for x, one in zip(inputs, r, strict=True)]
    sums = stack_targets([_sum_contributions(each, steps) for each in m])
    stacked = [stack_targets(some) for some in zip(*m, strict=True)]
    return Block(tuple(stacked), tuple(r), sums - (outputs.unsqueeze(2) - f), outputs, f)


def stack_targets(some: Sequence[Tensor]) -> Tensor:
    """Return tensors of each target as one, with targets as its second dimension; a single one is not copied."""
    return torch.stack(tuple(some), dim=1) if len(some) > 1 else some[0].unsqueeze(1)


def _sum_contributions(multipliers: Sequence[Tensor], steps: Sequence[Tensor]) -> Tensor:
    """Return the sum over all inputs of multiplier times difference from the reference, (sequences, references)."""
    # Inputs may be one number a row.
    parts = [(m * step).unsqueeze(2).flatten(2).sum(2) for m, step in zip(multipliers, steps, strict=True)]
    return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]


def is_complete(block: Block) -> bool:
    """Return whether contributions sum to the output differences, up to rounding."""
    # Mostly all of them are rounding error, which is soon seen. With <= and all, a delta that is NaN is too high.
    if bool((block.absolute_deltas <= block.rounding).all()):
        return True
    rounding = block.absolute_deltas.amax(dim=(0, 2)) <= block.rounding.amax(dim=(0, 2))
    return bool(rounding.all()) or bool((_relative_to_rounding(block) <= 1).all())


def worst_pair(block: Block) -> tuple[int, int]:
    """Return the sequence and the reference with the highest delta, relative to what may be rounding."""
    worst = int(_relative_to_rounding(block).nan_to_num(float("inf")).amax(dim=1).argmax())
    return divmod(worst, block.deltas.shape[2])


def typical_pair(block: Block) -> tuple[int, int]:
    """Return a sequence, and one of its references, whose first outputs are neither extreme nor close to each other.

    Used to check that rows do not mix: the largest or smallest output of a batch may stay the same in any batch.

    Examples
    --------
    >>> outputs, baselines = torch.tensor([[9.0], [4.0]]), torch.tensor([[[5.0, 6.0, 7.0]], [[0.0, 4.1, 8.0]]])
    >>> typical_pair(Block((), (), torch.zeros(2, 1, 3), outputs, baselines))
    (1, 2)
    """
    outputs, baselines = block.outputs[:, 0], block.baselines[:, 0]
    every = torch.cat([outputs, baselines.flatten()])
    i = int((outputs - every.nanmedian()).abs().argmin())
    apart = (baselines[i] - outputs[i]).abs()
    ends = (baselines[i] == every.amax()) | (baselines[i] == every.amin())
    return i, int(apart.masked_fill(ends, -1).argmax())


def _relative_to_rounding(block: Block) -> Tensor:
    """Return the deltas in units of the largest that is taken for rounding, (sequences, targets, references)."""
    # Far above rounding, far below the delta of a reference with the wrong partner.
    allowed = 1e-3 * block.differences.abs().mean(dim=(0, 2)) + block.rounding.amax(dim=(0, 2))
    return block.absolute_deltas / allowed.view(1, -1, 1).clamp_min(torch.finfo(allowed.dtype).tiny)


def same_multipliers(one: Block, other: Block, i: int, k: int, rounding: float = 1e-3) -> bool:
    """Return whether the only pair of `one` has the same multipliers as pair (i, k) of `other`, up to rounding.

    `rounding` is a share of the largest of them.
    """
    pairs = [(a[0, :, 0], b[i, :, k]) for a, b in zip(one.multipliers, other.multipliers, strict=True)]
    return all(bool((a - b).abs().max() <= rounding * b.abs().max()) for a, b in pairs)


def hypothetical_contributions(multipliers: Tensor, references: Tensor) -> Tensor:
    """Return what each character would contribute at each position, in place of the reference's character.

    Parameters
    ----------
    multipliers : torch.Tensor, shape (..., letters, positions)
    references : torch.Tensor, broadcast to it

    Returns
    -------
    torch.Tensor, float64, shape of `multipliers`
    """
    # In float64, so that the result does not depend on the order of summation, and so not on the batch size.
    m = multipliers.double()
    return m - (m * references).sum(dim=-2, keepdim=True)


def result_dtype(multipliers: Tensor) -> torch.dtype:
    """Return the dtype of attributions: float64 if the multipliers are in float64, else float32."""
    return torch.float64 if multipliers.dtype == torch.float64 else torch.float32
