"""Compare each sequence with all its references, or with as many as its attributions need to be known well."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import torch
from torch import Tensor

from seqlight.attribution.block_queue import PairExplainer, ReducedBlock, concatenate_sequences
from seqlight.attribution.contributions import Block, Pairs, concatenate_references, result_dtype
from seqlight.attribution.reductions import Reduction, reduce_to_moments, reduce_to_standard_error
from seqlight.attribution.references import References
from seqlight.attribution.running_moments import RunningMoments
from seqlight.errors import ReferencesWarning

# Few enough to waste little on a sequence that is soon known well, many enough for a meaningful standard error.
STEP = 10


@dataclass(frozen=True)
class SampledBlock:
    """Some sequences, all with the same number of references, and their mean contributions.

    Attributes
    ----------
    block : Block
        Without multipliers.
    references : torch.Tensor, shape (sequences, references, letters, positions)
        In the dtype in which they were drawn.
    hypothetical, standard_error : torch.Tensor, shape (sequences, targets, letters, positions)
        Mean and standard error of the hypothetical contributions.
    multipliers : torch.Tensor or None, shape (sequences, targets, references, letters, positions)
        If they were to be kept.
    members : torch.Tensor or None, shape (sequences, targets, folds, strands, shifts, letters, positions)
        Of an ensemble: the hypothetical contributions of each member.
    """

    block: Block
    references: Tensor
    hypothetical: Tensor
    standard_error: Tensor
    multipliers: Tensor | None = None
    members: Tensor | None = None


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

    def blocks(self, explainer: PairExplainer, multipliers: bool = False) -> Iterator[SampledBlock]:
        """Explain all sequences, and yield them in order, with the multipliers of each reference if asked for."""
        if self.tolerance is None:
            yield from self._with_all(explainer, multipliers)
            return
        for first, last in explainer.batches(self.step):
            yield from self._with_enough(explainer, first, last, self.tolerance, multipliers)

    def _with_all(self, explainer: PairExplainer, multipliers: bool) -> Iterator[SampledBlock]:
        """Compare all sequences with all their references."""
        ranges = explainer.batches(self.step)
        pairs = (Pairs(first, last, [self.references.draw(first, last)]) for first, last in ranges)
        for found in explainer.explain(pairs, _with_multipliers(reduce_to_standard_error, multipliers)):
            sampled = SampledBlock(found.block, found.pairs.references[0], *found.values)
            yield sampled if found.members is None else replace(sampled, members=found.members)

    def _with_enough(
        self, explainer: PairExplainer, first: int, last: int, tolerance: float, multipliers: bool
    ) -> Iterator[SampledBlock]:
        """Compare with a few references at a time, until each sequence is known to the tolerance."""
        X, drawn = self.references.X[first:last], list[Tensor]()
        parts, ahead = list[ReducedBlock](), list[Tensor]()
        open_ = torch.ones(last - first, dtype=torch.bool, device="cpu")
        moments: RunningMoments | None = None
        members: RunningMoments | None = None
        sums: list[Tensor] = []  # of the contributions of layers
        for start in range(0, self.references.n, self.step):
            drawn.append(ahead.pop() if ahead else self._draw(first, last, start))
            pairs = self._pairs_and_next(explainer, Pairs(first, last, drawn[-1:]), start, ahead)
            found = explainer.explain(pairs, _with_multipliers(reduce_to_moments, multipliers))
            parts.append(concatenate_sequences(list(found)))
            mean, squares, *_ = parts[-1].values
            moments = moments or RunningMoments(mean)
            moments.add(drawn[-1].shape[1], mean, squares, open_)
            if (those := parts[-1].members) is not None:
                members = members or RunningMoments(those)
                members.add(drawn[-1].shape[1], those, torch.zeros_like(those), open_)
            added = parts[-1].block.layers[:-1]
            sums = sums or [torch.zeros_like(one) for one in added]
            for total, one in zip(sums, added, strict=True):
                total[open_] += one[open_]
            # With <= inside and ~ outside, an uncertainty of NaN is too high.
            open_ = ~(moments.uncertainty(X) <= tolerance).all(dim=1)
            if not open_.any():
                break
        assert moments is not None
        self.sequences += len(X)
        self.uncertain += moments.uncertainty(X).amax(dim=1)[open_].tolist()
        block = concatenate_references([one.block for one in parts])
        block = replace(block, layers=(*sums, *block.layers[-1:]))
        dtype = result_dtype(block.deltas)
        whole = SampledBlock(
            block,
            torch.cat(drawn, dim=1),
            moments.mean.to(dtype),
            moments.standard_error.to(dtype),
            torch.cat([one.values[2] for one in parts], dim=2) if multipliers else None,
            None if members is None else members.mean.to(dtype),
        )
        yield from _runs_of_equal_count(whole, moments.n.tolist())

    def _draw(self, first: int, last: int, start: int) -> Tensor:
        """Return the references of a step, which begins with reference `start`."""
        return self.references.draw(first, last, start, min(start + self.step, self.references.n))

    def _pairs_and_next(
        self, explainer: PairExplainer, pairs: Pairs, start: int, ahead: list[Tensor]
    ) -> Iterator[Pairs]:
        """Yield the pairs of a step; draw those of the next one, perhaps in vain, while a device computes these."""
        yield pairs
        on_cpu, following = explainer.device.type == "cpu", start + self.step
        if not on_cpu and self.references.repeatable and following < self.references.n:
            ahead.append(self._draw(pairs.first, pairs.last, following))

    def warn_if_uncertain(self) -> None:
        """Warn of sequences that all references left uncertain; the warning names the caller's caller."""
        if self.uncertain and self.tolerance is not None:
            count = f"{len(self.uncertain)} of {self.sequences}"
            warn_of_uncertain(count, max(self.uncertain), self.tolerance, self.references.n, stacklevel=3)


def warn_of_uncertain(count: int | str, worst: float, tolerance: float, n: int, stacklevel: int) -> None:
    """Warn that all references left sequences uncertain.

    Parameters
    ----------
    count : int or str
        How many sequences, such as "3 of 20".
    worst : float
        Their largest standard error, as a share of the attribution.
    tolerance : float
        What it was to be.
    n : int
        The number of references of each.
    stacklevel : int
        As in warnings.warn, counted from the caller of this.
    """
    warnings.warn(
        f"{count} sequences are not known to a tolerance of {tolerance} after {n} references: at worst the standard "
        f"error is {worst:.2g} of the attribution; raise max_shuffles or tolerance.",
        ReferencesWarning,
        stacklevel=stacklevel + 1,
    )


def _with_multipliers(reduction: Reduction, multipliers: bool) -> Reduction:
    """Return a reduction that also returns the multipliers of the first input, if they are to be kept."""
    return (lambda block: (*reduction(block), block.multipliers[0])) if multipliers else reduction


def _runs_of_equal_count(sampled: SampledBlock, counts: list[int]) -> Iterator[SampledBlock]:
    """Yield the sequences in order, those that follow each other and have as many references together."""
    first = 0
    for n, run in groupby(counts):
        last = first + len(list(run))
        yield _select(sampled, slice(first, last), n)
        first = last


def _select(sampled: SampledBlock, row: slice, n: int) -> SampledBlock:
    """Return some sequences, with the first `n` references of each."""
    block = sampled.block
    selected = replace(
        block,
        references=tuple(one[row, :n] for one in block.references),
        deltas=block.deltas[row, :, :n],
        outputs=block.outputs[row],
        baselines=block.baselines[row, :, :n],
        layers=(*(one[row] for one in block.layers[:-1]), *(one[row, :, :n] for one in block.layers[-1:])),
    )
    return SampledBlock(
        selected,
        sampled.references[row, :n],
        sampled.hypothetical[row],
        sampled.standard_error[row],
        None if sampled.multipliers is None else sampled.multipliers[row, :, :n],
        None if sampled.members is None else sampled.members[row],
    )
