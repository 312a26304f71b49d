"""What a block of sequences with their references gives: contributions, and by how much they miss."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from seqlight.errors import ConvergenceWarning, InputError

# Beyond this share of the mean output difference a sum of attributions is wrong, however small it is.
LARGEST_RELATIVE_DELTA = 0.01


@dataclass(frozen=True)
class Block:
    """A few sequences with all their references: what one record serves."""

    multipliers: Tensor  # (sequences, references, letters, positions)
    references: Tensor  # likewise
    deltas: Tensor  # (sequences, references): sum of attributions minus difference of outputs
    differences: Tensor  # (sequences, references)


def joined(blocks: Sequence[Block], dim: int) -> Block:
    """Return one block of several, joined along the sequences (0) or the references (1)."""
    tensors = ([getattr(block, one.name) for block in blocks] for one in fields(Block))
    return Block(*(torch.cat(some, dim=dim) for some in tensors))


def adds_up(block: Block) -> bool:
    """Return whether contributions meet the output differences, up to what may be rounding."""
    # Far above rounding, far below what a wrong partner does.
    return bool((block.deltas.abs() <= 1e-3 * block.differences.abs().mean() + 1e-6).all())


def alike(one: Block, other: Block) -> bool:
    """Return whether the first pair has the same multipliers in both, up to rounding."""
    a, b = one.multipliers[0, 0], other.multipliers[0, 0]
    return bool((a - b).abs().max() <= 1e-3 * b.abs().max())


def attributions(block: Any, X: Tensor, hypothetical: bool) -> Tensor:
    """Return the mean over references of what each character contributes.

    A character is at a position instead of the reference's one, so its contribution is its multiplier
    minus what the reference has there.

    Parameters
    ----------
    block : object
        With ``multipliers`` and ``references``, shape (sequences, references, letters, positions).
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    hypothetical : bool
        Keep the contributions of characters that are not there.

    Returns
    -------
    torch.Tensor, float64, shape of `X`
    """
    # In float64, so that the order of summation, and with it the batch size, leaves no trace.
    m, r = block.multipliers.double(), block.references.double()
    contributions: Tensor = (m - (m * r).sum(dim=2, keepdim=True)).mean(dim=1)
    return contributions if hypothetical else contributions * X.cpu()


def pairs(
    multipliers: Tensor, references: Tensor, baseline: Tensor, x: Tensor, explained: Tensor, n: int
) -> tuple[Tensor, ...]:
    """Return multipliers, references, deltas and output differences, (sequences, n, ...) on the CPU."""
    baseline = baseline.detach()
    m, r, f = (one.view(n, -1, *one.shape[1:]).transpose(0, 1) for one in (multipliers, references, baseline))
    differences = explained.unsqueeze(1) - f
    sums = (m * (x.unsqueeze(1) - r)).sum(dim=(2, 3))
    return tuple(one.cpu() for one in (m, r, sums - differences, differences))


def chosen(output: Tensor, target: Any, rows: int) -> Tensor:
    """Return the output to explain, one number for each row."""
    y = output.flatten(2).squeeze(2) if output.ndim > 2 and output.shape[2:].numel() == 1 else output
    if y.ndim == 1 and len(y) == rows:
        y = y.unsqueeze(1)
    if y.ndim != 2 or len(y) != rows:
        raise InputError(
            f"the model turned {rows} rows into an output of shape {tuple(output.shape)}: expected (rows, targets); "
            "wrap the model in one that reduces its output, for instance to a sum over positions."
        )
    if isinstance(target, bool) or not isinstance(target, int) or not -y.shape[1] <= target < y.shape[1]:
        raise InputError(
            f"target is {target!r} and the model has {y.shape[1]} outputs: expected 0 to {y.shape[1] - 1}."
        )
    chosen: Tensor = y[:, target]
    return chosen


class Misses:
    """What the sums of attributions missed in one call, told in one warning.

    Parameters
    ----------
    threshold : float
        Misses above it are too high; so are those of a mean too large a share of the output difference.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.sequences = self.high = 0
        self.worst = Tensor()
        self.size = 0.0

    def add(self, block: Block) -> None:
        """Look at one block."""
        deltas, sizes = block.deltas.abs(), block.differences.abs().mean(dim=1)
        # Asked this way round, a delta that is no number is too high.
        low = (deltas <= self.threshold).all(dim=1)
        low &= deltas.mean(dim=1) <= LARGEST_RELATIVE_DELTA * sizes.mean() + torch.finfo(deltas.dtype).eps
        self.sequences, self.high = self.sequences + len(low), self.high + int((~low).sum())
        for row, size in zip(deltas[~low], sizes[~low], strict=True):
            if not self.worst.numel() or not bool(row.max() <= self.worst.max()):
                self.worst, self.size = row, float(size)

    def warn(self) -> None:
        """Warn the caller's caller, if any were too high."""
        if self.high:
            warnings.warn(
                f"Convergence deltas too high: {self.worst} in the worst of {self.high} sequences of {self.sequences}, "
                f"whose outputs differ by {self.size:.3g} on average. If dtype='float64' does not mend it, the model "
                "depends on its input where no gradient sees it: look for comparisons, detach() and integers.",
                ConvergenceWarning,
                stacklevel=3,
            )
