"""How many references each sequence is compared with, and what comes of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from seqlight.attribution.contributions import Block, hypothetical_contributions, more_references
from seqlight.attribution.references import References
from seqlight.attribution.running_moments import Moments
from seqlight.errors import ReferencesWarning

# Few enough to waste little on a sequence that is known well enough, many enough for its standard error to mean it.
STEP = 10


class Job(Protocol):
    """A method that explains by comparing with references."""

    def rows(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield which sequences make a batch with `n` references each: the first, and the one behind the last."""

    def block(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Explain the sequences ``first <= i < last`` against references of shape (sequences, references, ...)."""


@dataclass(frozen=True)
class Sampled:
    """Some sequences with as many references as they got, all the same number.

    Attributes
    ----------
    block : Block
    references : torch.Tensor, shape (sequences, references, letters, positions)
        As they were drawn.
    mean, standard_error : torch.Tensor, float64, shape (sequences, targets, letters, positions)
        Of the hypothetical contributions.
    """

    block: Block
    references: Tensor
    mean: Tensor
    standard_error: Tensor


@dataclass
class Sampling:
    """All references for each sequence, or as many as it takes.

    Parameters
    ----------
    drawn : References
        The references there are.
    tolerance : float, optional
        How uncertain attributions may be, as a share of their size; None to use all references.
    """

    drawn: References
    tolerance: float | None = None
    uncertain: list[float] = field(default_factory=list)  # how much, of each sequence that stayed so
    sequences: int = 0

    @property
    def step(self) -> int:
        """How many references are looked at together."""
        return self.drawn.n if self.tolerance is None else min(STEP, self.drawn.n)

    def of(self, job: Job, first: int, last: int) -> Iterator[Sampled]:
        """Explain the sequences ``first <= i < last``; yield them in order, together if they had as many references."""
        if self.tolerance is None:
            yield self._all(job, first, last)
        else:
            yield from self._enough(job, first, last, self.tolerance)

    def _all(self, job: Job, first: int, last: int) -> Sampled:
        """Compare with all references at once."""
        references = self.drawn.of(first, last)
        block = job.block(first, last, [references])
        contributions, n = _contributions(block), self.drawn.n
        mean = contributions.mean(dim=2, keepdim=True)
        # A quarter of the time of torch.std_mean.
        squares = (contributions - mean).square_().sum(dim=2)
        return Sampled(block, references, mean.squeeze(2), (squares / (n * (n - 1))).sqrt_())

    def _enough(self, job: Job, first: int, last: int, tolerance: float) -> Iterator[Sampled]:
        """Compare with a few references after the other, until each sequence is known to a `tolerance`."""
        X, parts, drawn = self.drawn.X[first:last], [], []
        open_ = torch.ones(last - first, dtype=torch.bool, device="cpu")
        moments: Moments | None = None
        for start in range(0, self.drawn.n, self.step):
            drawn.append(self.drawn.of(first, last, start, min(start + self.step, self.drawn.n)))
            parts.append(job.block(first, last, drawn[-1:]))
            contributions = _contributions(parts[-1])
            moments = moments or Moments(contributions[:, :, 0])
            moments.add(contributions, open_)
            # Asked this way round, what is no number is not enough.
            open_ = ~(moments.uncertainty(X) <= tolerance).all(dim=1)
            if not open_.any():
                break
        assert moments is not None
        self.sequences += len(X)
        self.uncertain += moments.uncertainty(X).amax(dim=1)[open_].tolist()
        whole = Sampled(more_references(parts), torch.cat(drawn, dim=1), moments.mean, moments.standard_error)
        yield from (_one(whole, i, int(n)) for i, n in enumerate(moments.n))

    def tell(self) -> None:
        """Warn the caller's caller of sequences that all references left uncertain."""
        if self.uncertain:
            warnings.warn(
                f"{len(self.uncertain)} of {self.sequences} sequences are not known to a tolerance of {self.tolerance} "
                f"after {self.drawn.n} references: at worst the standard error is {max(self.uncertain):.2g} of the "
                "attribution; raise max_shuffles or tolerance.",
                ReferencesWarning,
                stacklevel=3,
            )


def _contributions(block: Block) -> Tensor:
    """Return the hypothetical contributions against each reference, of the first input."""
    return hypothetical_contributions(block.multipliers[0], block.references[0].unsqueeze(1))


def _one(sampled: Sampled, i: int, n: int) -> Sampled:
    """Return one sequence with its first `n` references."""
    row, block = slice(i, i + 1), sampled.block
    mine = replace(
        block,
        multipliers=tuple(one[row, :, :n] for one in block.multipliers),
        references=tuple(one[row, :n] for one in block.references),
        deltas=block.deltas[row, :, :n],
        outputs=block.outputs[row],
        baselines=block.baselines[row, :, :n],
    )
    return Sampled(mine, sampled.references[row, :n], sampled.mean[row], sampled.standard_error[row])
