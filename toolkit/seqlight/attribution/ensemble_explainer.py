"""Explain an ensemble: its members one after another, and what they make of each block of sequences together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from seqlight.attribution.block_queue import ReducedBlock
from seqlight.attribution.contributions import Block, Pairs
from seqlight.attribution.explainer import Explainer
from seqlight.attribution.gradient_context import borrow_with_rules
from seqlight.attribution.reductions import Reduction, reduce_to_mean
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, OutOfMemory, UnsupportedOperation
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.ensemble import Ensemble
from seqlight.prediction.ensemble_member import EnsembleMember
from seqlight.prediction.host_copies import HostCopy

AnyExplainer: TypeAlias = "Explainer | EnsembleExplainer"


def make_explainer(
    model: nn.Module, inputs: Sequence[Tensor], args: Sequence[Any], targets: Targets, size: BatchSize
) -> AnyExplainer:
    """Return what explains a model, or an ensemble of models."""
    if isinstance(model, Ensemble):
        return EnsembleExplainer(model, inputs, args, targets, size)
    return Explainer(model, inputs, args, targets, size)


class EnsembleExplainer:
    """Explains the mean over an ensemble's members of the targets, a block of sequences at a time.

    DeepLIFT of a mean is the mean of DeepLIFT: contributions are added up member by member, so that no more than one of
    them needs memory for its passes. All members have the same references.

    Parameters
    ----------
    model : Ensemble
    inputs, args, targets, size
        As in :class:`seqlight.attribution.explainer.Explainer`.
    """

    def __init__(
        self, model: Ensemble, inputs: Sequence[Tensor], args: Sequence[Any], targets: Targets, size: BatchSize
    ) -> None:
        self.model, self.inputs, self.args = model, tuple(inputs), tuple(args)
        self.targets, self.size, self.device = targets, size, size.device
        self.members = [(one, Explainer(one, inputs, args, targets, size)) for one in model.members()]
        first = self.members[0][1]
        self.model_inputs, self.arena = first.model_inputs, first.arena
        for _, one in self.members:  # what was sent to the device once serves all of them, and what was warned of
            one.model_inputs, one.arena = self.model_inputs, self.arena
            one.policy.announced = first.policy.announced

    @property
    def rows_checked(self) -> bool:
        """Whether the rows of all members were checked."""
        return all(one.rows_checked for _, one in self.members)

    @rows_checked.setter
    def rows_checked(self, checked: bool) -> None:
        for _, one in self.members:
            one.rows_checked = checked

    @contextlib.contextmanager
    def borrow_model(
        self, dtype: torch.dtype | None, overrides: Mapping[Any, Callable[..., Any]] | None = None
    ) -> Iterator[None]:
        """Borrow all models inside, as Explainer does."""
        with borrow_with_rules(self.model, self.inputs[0], self.device, dtype, overrides) as lent:
            for _, one in self.members:
                one.use(lent)
            yield

    def batches(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield the sequences ``first <= i < last`` of each batch, where each has `n` references."""
        return self.size.ranges(len(self.inputs[0]), n)

    def explain(self, pairs: Iterable[Pairs], reduction: Reduction) -> Iterator[ReducedBlock]:
        """Explain blocks, and yield what is wanted of the mean over members of each, and of each member."""
        for some in pairs:
            yield self._explain(some, reduction)

    def _explain(self, pairs: Pairs, reduction: Reduction) -> ReducedBlock:
        total: Block | None = None
        means: list[Tensor] = []
        for member, explainer in self.members:
            with _name_member(member):
                block, mean = _explain_member(explainer, pairs)
            means.append(mean)
            total = block if total is None else _add(total, block)
            del block
        assert total is not None
        whole = _divide(total, len(self.members))
        deltas, outputs, baselines, *values = HostCopy([*whole.figures, *reduction(whole)]).wait()
        references = whole.references if self.device.type == "cpu" else tuple(pairs.references)
        members = torch.stack(means, dim=2)
        folds = members.view(*members.shape[:2], *self.model.shape, *members.shape[3:])
        return ReducedBlock(pairs, Block((), references, deltas, outputs, baselines), tuple(values), folds)


def _explain_member(explainer: Explainer, pairs: Pairs) -> tuple[Block, Tensor]:
    """Return the block of some pairs, where it was computed, and the mean hypothetical contributions, on the CPU."""
    blocks: list[Block] = []

    def keep(block: Block) -> tuple[Tensor, ...]:
        blocks.append(block)  # it may be made again: the number says which of them counts
        return torch.tensor(len(blocks) - 1, device="cpu"), *reduce_to_mean(block)

    found = [(blocks[int(one.values[0])], one.values[1]) for one in explainer.explain([pairs], keep)]
    explainer.forget()  # or the records of all members would be kept at once
    return _concatenate([block for block, _ in found]), torch.cat([mean for _, mean in found])


def _concatenate(parts: Sequence[Block]) -> Block:
    """Join blocks of consecutive sequences."""
    if len(parts) == 1:
        return parts[0]
    place = parts[0].deltas.device
    several = [(one.multipliers, one.references, one.deltas, one.outputs, one.baselines) for one in parts]
    m, r, *figures = zip(*several, strict=True)
    return Block.with_figures(
        tuple(torch.cat([one.to(place) for one in some]) for some in zip(*m, strict=True)),
        tuple(torch.cat([one.to(place) for one in some]) for some in zip(*r, strict=True)),
        [torch.cat([one.to(place) for one in some]) for some in figures],
    )


def _add(total: Block, block: Block) -> Block:
    """Return the sums of all that members of an ensemble differ in."""
    place = total.deltas.device  # a block whose reduction ran out of memory is on the CPU
    return Block(
        tuple(a + b.to(place) for a, b in zip(total.multipliers, block.multipliers, strict=True)),
        total.references,
        total.deltas + block.deltas.to(place),
        total.outputs + block.outputs.to(place),
        total.baselines + block.baselines.to(place),
    )


def _divide(total: Block, n: int) -> Block:
    multipliers = tuple(one / n for one in total.multipliers)
    return Block(multipliers, total.references, total.deltas / n, total.outputs / n, total.baselines / n)


@contextlib.contextmanager
def _name_member(member: EnsembleMember) -> Iterator[None]:
    """Say in an error which member it is of."""
    try:
        yield
    except OutOfMemory:
        raise
    except (InputError, UnsupportedOperation) as error:
        if str(error).startswith(member.label):
            raise
        raise type(error)(f"{member.label} of the ensemble: {error}") from error
