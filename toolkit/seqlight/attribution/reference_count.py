"""Compare each sequence with all its references, or with as many as its attributions need to be known well."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from seqlight.attribution.contributions import Block, concatenate_references, hypothetical_contributions
from seqlight.attribution.references import References
from seqlight.attribution.running_moments import RunningMoments
from seqlight.errors import ReferencesWarning

# Few enough to waste little on a sequence that is soon known well, many enough for a meaningful standard error.
STEP = 10


class BlockExplainer(Protocol):
    """A method that compares sequences with references, a block of sequences at a time."""

    def batches(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield the sequences ``first <= i < last`` of each batch, where each has `n` references."""

    def explain_block(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Explain the sequences ``first <= i < last`` against references of shape (sequences, references, ...)."""


@dataclass(frozen=True)
class SampledBlock:
    """Some sequences, all with the same number of references, and their mean contributions.

    Attributes
    ----------
    block : Block
    references : torch.Tensor, shape (sequences, references, letters, positions)
        In the dtype in which they were drawn.
    mean, standard_error : torch.Tensor, float64, shape (sequences, targets, letters, positions)
        Mean and standard error of the hypothetical contributions.
    """

    block: Block
    references: Tensor
    mean: Tensor
    standard_error: Tensor


@dataclass
class ReferenceSampler:
    """Compares each sequence with all its references, or with a few more until its attributions are known well enough.

    Parameters
    ----------
    references : References
        At most these are used.
    tolerance : float, optional
        The standard error that attributions may have, as a share of their size; None to use all references.

    Attributes
    ----------
    uncertain : list of float
        The standard error, as a share, of each sequence that all its references left above the tolerance.
    sequences : int
        The number of sequences with a tolerance to meet.
    """

    references: References
    tolerance: float | None = None
    uncertain: list[float] = field(default_factory=list)
    sequences: int = 0

    @property
    def step(self) -> int:
        """The number of references compared with at a time."""
        return self.references.n if self.tolerance is None else min(STEP, self.references.n)

    def blocks(self, explainer: BlockExplainer) -> Iterator[SampledBlock]:
        """Explain all sequences, and yield them in order."""
        for first, last in explainer.batches(self.step):
            if self.tolerance is None:
                yield self._with_all(explainer, first, last)
            else:
                yield from self._with_enough(explainer, first, last, self.tolerance)

    def _with_all(self, explainer: BlockExplainer, first: int, last: int) -> SampledBlock:
        """Compare the sequences ``first <= i < last`` with all their references."""
        references = self.references.draw(first, last)
        block = explainer.explain_block(first, last, [references])
        contributions, n = _contributions(block), self.references.n
        mean = contributions.mean(dim=2, keepdim=True)
        # This takes a quarter of the time of torch.std_mean.
        squares = (contributions - mean).square_().sum(dim=2)
        return SampledBlock(block, references, mean.squeeze(2), (squares / (n * (n - 1))).sqrt_())

    def _with_enough(
        self, explainer: BlockExplainer, first: int, last: int, tolerance: float
    ) -> Iterator[SampledBlock]:
        """Compare with a few references at a time, until each sequence is known to the tolerance; yield one each."""
        X, parts, drawn = self.references.X[first:last], [], []
        open_ = torch.ones(last - first, dtype=torch.bool, device="cpu")
        moments: RunningMoments | None = None
        for start in range(0, self.references.n, self.step):
            drawn.append(self.references.draw(first, last, start, min(start + self.step, self.references.n)))
            parts.append(explainer.explain_block(first, last, drawn[-1:]))
            contributions = _contributions(parts[-1])
            moments = moments or RunningMoments(contributions[:, :, 0])
            moments.add(contributions, open_)
            # With <= inside and ~ outside, an uncertainty of NaN is too high.
            open_ = ~(moments.uncertainty(X) <= tolerance).all(dim=1)
            if not open_.any():
                break
        assert moments is not None
        self.sequences += len(X)
        self.uncertain += moments.uncertainty(X).amax(dim=1)[open_].tolist()
        whole = SampledBlock(
            concatenate_references(parts), torch.cat(drawn, dim=1), moments.mean, moments.standard_error
        )
        yield from (_select(whole, i, int(n)) for i, n in enumerate(moments.n))

    def warn_if_uncertain(self) -> None:
        """Warn of sequences that all references left uncertain; the warning names the caller's caller."""
        if self.uncertain:
            warnings.warn(
                f"{len(self.uncertain)} of {self.sequences} sequences are not known to a tolerance of {self.tolerance} "
                f"after {self.references.n} references: at worst the standard error is {max(self.uncertain):.2g} of "
                "the attribution; raise max_shuffles or tolerance.",
                ReferencesWarning,
                stacklevel=3,
            )


def _contributions(block: Block) -> Tensor:
    """Return the hypothetical contributions of the first input against each reference."""
    return hypothetical_contributions(block.multipliers[0], block.references[0].unsqueeze(1))


def _select(sampled: SampledBlock, i: int, n: int) -> SampledBlock:
    """Return sequence `i` alone, with its first `n` references."""
    row, block = slice(i, i + 1), sampled.block
    selected = replace(
        block,
        multipliers=tuple(one[row, :, :n] for one in block.multipliers),
        references=tuple(one[row, :n] for one in block.references),
        deltas=block.deltas[row, :, :n],
        outputs=block.outputs[row],
        baselines=block.baselines[row, :, :n],
    )
    return SampledBlock(selected, sampled.references[row, :n], sampled.mean[row], sampled.standard_error[row])
