"""What a block of sequences with their references gives: contributions, and by how much they miss."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from seqlight.errors import ConvergenceError, ConvergenceWarning, InputError

# Beyond this share of the mean output difference a sum of attributions is wrong, however small it is.
LARGEST_RELATIVE_DELTA = 0.01
# The default of what sums may miss.
WARNING_THRESHOLD = 0.001

# What is left in float64 of a miss that is rounding, at most.
ROUNDED = 0.01

Policy: TypeAlias = Literal["raise", "warn", "ignore"]


@dataclass(frozen=True)
class Block:
    """A few sequences with references: what one record serves.

    Attributes
    ----------
    multipliers : tuple of torch.Tensor, each of shape (sequences, targets, references, ...)
        For each input.
    references : tuple of torch.Tensor, each of shape (sequences, references, ...)
    deltas : torch.Tensor, shape (sequences, targets, references)
        Sums of contributions minus differences of outputs.
    outputs : torch.Tensor, shape (sequences, targets)
        What the sequences gave.
    baselines : torch.Tensor, shape (sequences, targets, references)
        What the references gave.
    """

    multipliers: tuple[Tensor, ...]
    references: tuple[Tensor, ...]
    deltas: Tensor
    outputs: Tensor
    baselines: Tensor

    @cached_property
    def differences(self) -> Tensor:
        """The differences of outputs that are explained, (sequences, targets, references)."""
        return self.outputs.unsqueeze(2) - self.baselines

    @cached_property
    def misses(self) -> Tensor:
        """How large the deltas are, (sequences, targets, references)."""
        return self.deltas.abs()

    @cached_property
    def rounding(self) -> Tensor:
        """What rounding may do to the deltas of each pair, (sequences, targets, references)."""
        sizes = torch.maximum(self.outputs.abs().unsqueeze(2), self.baselines.abs())
        return sizes.mul_(100 * torch.finfo(sizes.dtype).eps)


def more_references(blocks: Sequence[Block]) -> Block:
    """Return one block of several with the same sequences."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        tuple(torch.cat(some, dim=2) for some in zip(*(one.multipliers for one in blocks), strict=True)),
        tuple(torch.cat(some, dim=1) for some in zip(*(one.references for one in blocks), strict=True)),
        torch.cat([one.deltas for one in blocks], dim=2),
        blocks[0].outputs,
        torch.cat([one.baselines for one in blocks], dim=2),
    )


def block_of(
    inputs: Sequence[Tensor],
    references: Sequence[Tensor],
    multipliers: Sequence[Sequence[Tensor]],
    outputs: Tensor,
    baselines: Tensor,
) -> Block:
    """Sort what the references gave by sequence, and see by how much it misses.

    Parameters
    ----------
    inputs : sequence of torch.Tensor, each of shape (sequences, ...)
    references : sequence of torch.Tensor, each of shape (n * sequences, ...)
        The reference index is the major one, here and below.
    multipliers : for each target a sequence of torch.Tensor, shapes of `references`
    outputs : torch.Tensor, shape (sequences, targets)
    baselines : torch.Tensor, shape (n * sequences, targets)

    Returns
    -------
    Block
        On the CPU.
    """
    n = len(baselines) // len(outputs)

    def by_sequence(one: Tensor) -> Tensor:
        return one.detach().view(n, -1, *one.shape[1:]).transpose(0, 1)

    r = [by_sequence(one) for one in references]
    m = [[by_sequence(one) for one in each] for each in multipliers]
    f = by_sequence(baselines).transpose(1, 2)
    steps = [x.unsqueeze(1) - one for x, one in zip(inputs, r, strict=True)]
    sums = torch.stack([_contributed(each, steps) for each in m], dim=1)
    stacked = [torch.stack(some, dim=1) if len(m) > 1 else some[0].unsqueeze(1) for some in zip(*m, strict=True)]
    return Block(
        tuple(one.cpu() for one in stacked),
        tuple(one.cpu() for one in r),
        (sums - (outputs.unsqueeze(2) - f)).cpu(),
        outputs.cpu(),
        f.cpu(),
    )


def _contributed(multipliers: Sequence[Tensor], steps: Sequence[Tensor]) -> Tensor:
    """Return the sum over all inputs of multiplier times step, (sequences, references)."""
    # Inputs may be one number a row.
    parts = [(m * step).unsqueeze(2).flatten(2).sum(2) for m, step in zip(multipliers, steps, strict=True)]
    return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]


def adds_up(block: Block) -> bool:
    """Return whether contributions meet the output differences, up to what may be rounding."""
    # Asked this way round, a delta that is no number does not.
    return bool((_misses(block) <= 1).all())


def worst_pair(block: Block) -> tuple[int, int]:
    """Return which sequence and which of its references miss most."""
    worst = int(_misses(block).nan_to_num(float("inf")).amax(dim=1).argmax())
    return divmod(worst, block.deltas.shape[2])


def _misses(block: Block) -> Tensor:
    """Return by how much each pair misses, (sequences, targets, references), in units of what may be rounding."""
    # Far above rounding, far below what a wrong partner does.
    allowed = 1e-3 * block.differences.abs().mean(dim=(0, 2)) + block.rounding.amax(dim=(0, 2))
    return block.misses / allowed.view(1, -1, 1).clamp_min(torch.finfo(allowed.dtype).tiny)


def alike(one: Block, other: Block, i: int, k: int) -> bool:
    """Return whether the only pair of `one` has the multipliers of pair (i, k) of `other`, up to rounding."""
    pairs = [(a[0, :, 0], b[i, :, k]) for a, b in zip(one.multipliers, other.multipliers, strict=True)]
    return all(bool((a - b).abs().max() <= 1e-3 * b.abs().max()) for a, b in pairs)


def hypothetical_contributions(multipliers: Tensor, references: Tensor) -> Tensor:
    """Return what each character would contribute at each position instead of what the reference has there.

    Parameters
    ----------
    multipliers : torch.Tensor, shape (..., letters, positions)
    references : torch.Tensor, broadcast to it

    Returns
    -------
    torch.Tensor, float64, shape of `multipliers`
    """
    # In float64, so that the order of summation, and with it the batch size, leaves no trace.
    m = multipliers.double()
    return m - (m * references.double()).sum(dim=-2, keepdim=True)


def result_dtype(multipliers: Tensor) -> torch.dtype:
    """Return what attributions are kept in: float64 if that was computed in, else float32."""
    return torch.float64 if multipliers.dtype == torch.float64 else torch.float32


class Misses:
    """What the sums of attributions missed in one call, told in one warning.

    Parameters
    ----------
    threshold : float
        Misses above it are too high; so are those of a mean too large a share of the output difference. At the
        default, what rounding may do to outputs of that size does not count.
    policy : "raise", "warn" or "ignore"
        What to do about it.
    """

    def __init__(self, threshold: float, policy: Policy = "warn") -> None:
        if policy not in get_args(Policy):
            raise InputError(f"deltas is {policy!r}: expected 'raise', 'warn' or 'ignore'.")
        self.threshold, self.policy = threshold, policy
        # Of each sequence and target: largest, mean, size. In one piece of memory, for small tensors that live as long
        # as the call lie between large ones that do not, and keep the room of those from being used again.
        self._numbers = array("d")
        self._targets, self._sequences = 1, 0
        self.worst, self.most, self.size, self.endless = Tensor(), 0.0, 0.0, 0
        #: Which sequence and target miss most, and against which reference, for each input.
        self.worst_pair: tuple[int, int, tuple[Tensor, ...]] = 0, 0, ()

    def add(self, block: Block) -> None:
        """Look at one block; where the policy is to raise, raise ConvergenceError for what is too high in itself."""
        # What is no number is the worst of all.
        deltas = block.misses.nan_to_num(float("inf"))
        if self.threshold == WARNING_THRESHOLD:  # one of the caller's own is taken at its word
            deltas = (deltas - block.rounding).clamp_min(0)
        sizes, largest = block.differences.abs().mean(dim=2), deltas.amax(dim=2)
        self._numbers.extend(torch.stack([largest, deltas.mean(dim=2), sizes], dim=1).flatten().tolist())
        before, self._targets, self._sequences = self._sequences, largest.shape[1], self._sequences + len(largest)
        self.endless += int((~block.outputs.isfinite()).any(dim=1).sum())
        worst = largest.flatten().argmax()
        if not self.worst.numel() or float(largest.flatten()[worst]) > self.most:
            self.most, self.size = float(largest.flatten()[worst]), float(sizes.flatten()[worst])
            self.worst = block.misses.flatten(0, 1)[worst]
            i, target = divmod(int(worst), self._targets)
            k = int(deltas[i, target].argmax())
            self.worst_pair = before + i, target, tuple(one[i, k].clone() for one in block.references)
        if self.policy == "raise" and not bool((deltas <= self.threshold).all()):
            raise ConvergenceError(self._message())

    def tell(self, stacklevel: int = 3, in_float64: Callable[[Misses], float | None] | None = None) -> None:
        """Warn, or raise ConvergenceError, if any were too high.

        Parameters
        ----------
        stacklevel : int
            Whom to warn: the caller's caller, where it is 3.
        in_float64 : callable, optional
            Returns what the worst pair misses in float64, or None where that cannot be known. Asked only if something
            is told.
        """
        if self.policy == "ignore" or not self.high():
            return
        exact = None if in_float64 is None or self.endless or self.worst.dtype == torch.float64 else in_float64(self)
        if self.policy == "raise":
            raise ConvergenceError(self._message(exact))
        warnings.warn(self._message(exact), ConvergenceWarning, stacklevel=stacklevel)

    def high(self) -> int:
        """Return in how many sequences they are too high."""
        numbers = torch.frombuffer(self._numbers, dtype=torch.float64).view(self._sequences, 3, self._targets)
        largest, mean, sizes = numbers.unbind(dim=1)
        # The mean over all sequences of the call: what is said must not depend on the batch size.
        enough = LARGEST_RELATIVE_DELTA * sizes.mean(dim=0)
        low = (largest <= self.threshold) & (mean <= enough)
        return int((~low).any(dim=1).sum())

    def _message(self, exact: float | None = None) -> str:
        if self.endless:
            return (
                f"The model's output is no finite number for {self.endless} of {self._sequences} sequences, "
                "and neither are the attributions: look for NaN in its weights, and for the logarithm or division of 0."
            )
        said = (
            f"Convergence deltas too high: {self.worst} in the worst of {self.high()} sequences of {self._sequences}, "
            f"whose outputs differ by {self.size:.3g} on average. "
        )
        if exact is not None and exact <= ROUNDED * self.most:
            return (
                f"{said}It is rounding: large numbers nearly cancel in the model, and in float64 the worst pair misses "
                f"by {exact:.2g}. Pass dtype='float64'."
            )
        known = "If dtype='float64' does not mend it" if exact is None else "It is no rounding, for float64 has it too"
        return (
            f"{said}{known}{', ' if exact is None else ': '}the model "
            "depends on its input where no gradient sees it: seqlight.audit(model, X) says where."
        )
