"""What an activation contributes: multipliers times differences between sequences and references, and their sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from seqlight.attribution.engine.row_layout import RowLayout
from seqlight.attribution.kernels.table import kernel_for
from seqlight.errors import InputError, kind_of
from seqlight.prediction.device_dtypes import has_float64

# From contributions (pairs, ...) to fewer numbers of each pair.
LayerReduction: TypeAlias = Callable[[Tensor], Tensor]
# From multipliers, sequences and references, each (pairs, ...), to what is kept in place of contributions.
LayerAttribution: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]


class Activation(NamedTuple):
    """An activation of the sequences and of their references, with multipliers, all sorted by pair.

    Attributes
    ----------
    multipliers, references : torch.Tensor, shape (references, sequences, ...)
    sequences : torch.Tensor, shape (1, sequences, ...), or that of `references`
    """

    multipliers: Tensor
    sequences: Tensor
    references: Tensor

    @classmethod
    def by_pair(cls, m: Tensor, x: Tensor, r: Tensor, layout: RowLayout, sequences: int) -> Activation:
        """Return tensors of so many sequences, as a model has them, sorted by pair; a multiplier may be one number."""
        rows = r.shape[layout.dimension] // layout.entries
        own = x.shape[layout.dimension] // layout.entries
        r, x = layout.by_row(r, rows), layout.by_row(x, own)
        shape = rows // sequences, sequences, *r.shape[1:]
        m = layout.by_row(m, rows).reshape(shape) if m.ndim else m.to(r.device).expand(shape)
        return cls(m, x.reshape(-1, *shape[1:]), r.reshape(shape))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of contributions."""
        return torch.float64 if self.references.dtype == torch.float64 else torch.float32

    def contributions(self) -> Tensor:
        """Return contributions, shape of `references`."""
        return (self.sequences.to(self.dtype) - self.references).mul_(self.multipliers)

    def totals(self, kept: int = 2) -> Tensor:
        """Return the sums of contributions over all dimensions but the first `kept`."""
        kernel = kernel_for("layer_contributions.totals", self.references.device.type, self.references.dtype)
        found: Tensor | None = None if kernel is None else kernel(*self._as_in_memory(kept), kept)
        return sum_rest(self.contributions(), kept) if found is None else found

    def _as_in_memory(self, kept: int) -> Activation:
        """Return the same with the dimensions from `kept` on in the order in which they lie in memory."""
        r = self.references
        if r.is_contiguous():
            return self
        order = [*range(kept), *sorted(range(kept, r.ndim), key=lambda d: -r.stride()[d])]
        return Activation(*[one.permute(order) for one in self])

    def totals_of_heads(self) -> Tensor:
        """Return the sums of contributions (references, sequences, ..., heads, positions, width): all, and each head's.

        Returns
        -------
        torch.Tensor, shape (references, sequences, 1 + heads)
        """
        beside = Activation(*[one.movedim(-3, -2) for one in self])
        if beside.references.is_contiguous():  # as a projection of all heads at once leaves them
            heads = sum_rest(beside.totals(beside.references.ndim - 1).movedim(-1, 2), 3)
        else:
            heads = Activation(*[one.movedim(-3, 2) for one in self]).totals(3)
        return torch.cat([heads.sum(-1, keepdim=True), heads], dim=-1)


def sum_rest(contributions: Tensor, kept: int) -> Tensor:
    """Return the sums over all dimensions but the first `kept`."""
    return contributions.flatten(kept).sum(kept) if contributions.ndim > kept else contributions


def attribute_pairs(activation: Activation, function: LayerAttribution) -> Tensor:
    """Return what a function makes of multipliers, sequences and references, each (pairs, ...), by pair again."""
    shape = activation.references.shape
    found = function(*[one.to(activation.dtype).expand(shape).flatten(0, 1) for one in activation])
    return found.reshape(*shape[:2], *found.shape[1:])


def sum_over_references(contributions: Tensor, reduction: LayerReduction | None) -> Tensor:
    """Return the sum over references of contributions (references, sequences, ...), or of what they are reduced to.

    Raises
    ------
    InputError
        If `reduction` returns anything but a tensor with a row for each pair.
    """
    shape = contributions.shape[:2]
    if reduction is not None:
        reduced = reduction(contributions.flatten(0, 1))
        if not isinstance(reduced, Tensor) or not reduced.ndim or len(reduced) != shape.numel():
            found = tuple(reduced.shape) if isinstance(reduced, Tensor) else kind_of(reduced)
            raise InputError(
                f"reduce returned {found} for contributions of shape {tuple(contributions.flatten(0, 1).shape)}: "
                f"expected a tensor with as many rows, {shape.numel()}."
            )
        contributions = reduced.reshape(*shape, *reduced.shape[1:])
    wide = torch.float64 if has_float64(contributions.device) else contributions.dtype
    return contributions.sum(dim=0, dtype=wide)
