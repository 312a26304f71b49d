"""What activations contribute in a batch of references: their multipliers are read as they come back.

Each is reduced as soon as it is known, so that no multiplier is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.calls.retry import LayoutUnknown
from seqlight.attribution.engine.layer_contributions import (
    Activation,
    LayerAttribution,
    LayerReduction,
    attribute_pairs,
    sum_over_references,
    sum_rest,
)
from seqlight.attribution.engine.row_layout import RowLayout, layout_of_shapes


class Branch(NamedTuple):
    """The second branch of a sum, of the sequences and of their references, and by how much it is multiplied."""

    sequences: Snapshot
    references: Snapshot
    scale: float


class MultiplierReader:
    """Reads the multipliers of activations of the references, and keeps what they contribute.

    Parameters
    ----------
    keeps : bool
        Whether to keep contributions, rather than their sum for each pair alone.
    reduction : callable, optional
        What to keep of contributions (pairs, ...), with the pairs in the first dimension.
    attribution : callable, optional
        What to keep in place of contributions: a function of multipliers, activations of the sequences and activations
        of the references, each (pairs, ...).

    Attributes
    ----------
    layouts : list of RowLayout
        Where the rows lie in each activation that is read, as far as that is known.
    """

    def __init__(self, keeps: bool, reduction: LayerReduction | None, attribution: LayerAttribution | None) -> None:
        self._keeps, self._reduction, self._attribution = keeps, reduction, attribution
        self.layouts: list[RowLayout] = []
        self._sequences, self._target = 0, 0
        self._hooks: list[Callable[[Tensor], None]] = []
        # By the number of the activation and the target: totals, and what is kept of contributions.
        self._found: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}

    def open(self, sequences: int) -> None:
        """Begin a batch of references of so many sequences."""
        self._sequences = sequences
        self.clear()

    def clear(self) -> None:
        """Drop what was read since the batch began."""
        self._hooks, self._found = [], {}

    def begin_target(self, k: int) -> None:
        """Take the gradients from now on for those of target `k`."""
        self._target = k

    def follow(self, y: Tensor, kept: Snapshot, copy: bool, branch: Branch | None = None, heads: bool = False) -> None:
        """Read the multipliers of an activation of the references as they come back.

        Parameters
        ----------
        y : torch.Tensor
            The activation.
        kept : Snapshot
            That of the sequences.
        copy : bool
            Whether to keep a copy of `y`, which may be overwritten.
        branch : Branch, optional
            For a sum of two tensors: the second of them, whose totals are read as well.
        heads : bool
            Whether it is what attention returns, of which the totals of each head are read.
        """
        at, device = len(self._hooks), y.device.type
        layout, snapshot = self._layout(at, kept.tensor, y), Snapshot.take(y, copy)

        def read(multipliers: Tensor | None) -> None:
            if multipliers is None:  # one of several results that nothing takes, as the last state of a layer
                return
            with contextlib.nullcontext() if not self._keeps else _exact(device):
                one = Activation.by_pair(multipliers, kept.get(), snapshot.get(), layout, self._sequences)
                self._found[at, self._target] = self._totals(one, multipliers, layout, branch, heads)

        y.register_hook(read)  # type: ignore[no-untyped-call]
        self._hooks.append(read)

    def close(self, targets: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return what was found in this batch, for each activation in the order in which they were met.

        Returns
        -------
        totals : list of torch.Tensor, shape (targets, references, sequences, columns)
            The sums of contributions, one column for the whole and one for each part.
        sums : list of torch.Tensor, shape (sequences, targets, ...)
            If contributions are kept, their sums over references, in float64; else none.
        """
        for at, read in enumerate(self._hooks):
            for k in range(targets):
                if (at, k) not in self._found:  # the target does not depend on it
                    self._target = k
                    read(torch.zeros((), device="cpu"))
        of_each = [[self._found[at, k] for k in range(targets)] for at in range(len(self._hooks))]
        self.clear()
        totals = [torch.stack([total for total, _ in one]) for one in of_each]
        if not self._keeps:
            return totals, []
        return totals, [torch.stack([kept for _, kept in one if kept is not None], dim=1) for one in of_each]

    def _totals(
        self, one: Activation, multipliers: Tensor, layout: RowLayout, branch: Branch | None, heads: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the totals of an activation and of its parts, and what is kept of contributions, or None."""
        if heads:
            return one.totals_of_heads(), None
        if branch is None:
            return self._reduce(one)
        x, r = branch.sequences.get(), branch.references.get()
        part = Activation.by_pair(multipliers, x, r, layout, self._sequences).totals() * branch.scale
        whole = one.totals()
        return torch.stack([whole, whole - part, part], dim=-1), None

    def _layout(self, at: int, x: Tensor, r: Tensor) -> RowLayout:
        """Return the layout of a tensor of the sequences and of the references; LayoutUnknown if it is not known."""
        if at < len(self.layouts):
            return self.layouts[at]
        found = layout_of_shapes(x.shape, r.shape, self._sequences)
        if found is None:
            raise LayoutUnknown
        self.layouts.append(found)
        return found

    def _reduce(self, one: Activation) -> tuple[Tensor, Tensor | None]:
        """Return the total of each pair, (references, sequences, 1), and what is kept of contributions, or None."""
        if not self._keeps:
            return one.totals().unsqueeze(-1), None
        contributions = one.contributions()
        totals = sum_rest(contributions, 2).unsqueeze(-1)
        if self._attribution is not None:
            contributions = attribute_pairs(one, self._attribution)
        return totals, sum_over_references(contributions, self._reduction)


@contextlib.contextmanager
def _exact(device: str) -> Iterator[None]:
    """Let functions of the user compute inside as outside of a training."""
    with torch.no_grad(), torch.autocast(device, enabled=False):
        yield
