"""Entries that a mask picks of a tensor, as in ``h[h < 0] *= 0.1``: how many there are depends on the input.

So they have no partners among those of the sequence. But while each is changed on its own, and put back where it was,
it is the whole tensor that is changed, and the mask that chooses between the old numbers and the new ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.engine.known_tensors import KnownTensors
from seqlight.attribution.engine.twins import Twin
from seqlight.attribution.rules.operation_names import GATES
from seqlight.attribution.rules.table import BINARY, ELEMENTWISE

_PICKING = frozenset({"__getitem__", "masked_select"})
_PUTTING = frozenset("__setitem__ masked_scatter masked_scatter_ index_put index_put_".split())
_POINTWISE = (
    ELEMENTWISE.keys()
    | BINARY.keys()
    | GATES
    | frozenset("add sub subtract rsub neg negative clone contiguous __add__ __radd__ __sub__ __rsub__ __neg__".split())
    | frozenset("__iadd__ __isub__ __imul__ __itruediv__".split())
)


class Picked(NamedTuple):
    """What was picked: the mask, and the twin of the whole tensor that each entry would come from."""

    mask: Tensor
    whole: Twin


class PickedEntries(KnownTensors[Picked]):
    """Tensors of picked entries."""

    def changed(self, call: Call) -> tuple[dict[int, Twin], Tensor] | None:
        """Return the twins of the arguments of a call that changes each entry on its own, and their mask."""
        if call.name not in _POINTWISE and call.name.removesuffix("_") not in _POINTWISE:
            return None
        found = {at: one for at, one in enumerate(map(self.find, call.leaves)) if one is not None}
        others = (one for at, one in enumerate(call.leaves) if at not in found)
        if not found or any(isinstance(one, Tensor) and one.ndim for one in others):
            return None
        first = next(iter(found.values())).mask
        if not all(are_equal(first, one.mask) for one in found.values()):
            return None
        return {at: one.whole for at, one in found.items()}, first


def is_picking(call: Call) -> bool:
    """Return whether a call picks entries of its first argument by a mask, the second one."""
    return call.name in _PICKING and len(call.leaves) == 2 and _picks_all_of(call.leaves)


def is_putting(call: Call) -> bool:
    """Return whether a call puts its third argument where its second one, a mask, is true in the first one."""
    return call.name in _PUTTING and len(call.leaves) == 3 and _picks_all_of(call.leaves)


def are_equal(mask: Tensor, other: Tensor) -> bool:
    """Return whether two masks are true at the same places."""
    return mask is other or (mask.shape == other.shape and bool(torch.equal(mask, other)))


def _picks_all_of(leaves: Sequence[Any]) -> bool:
    one, mask = leaves[:2]
    tensors = isinstance(one, Tensor) and isinstance(mask, Tensor)
    return tensors and mask.dtype == torch.bool and mask.shape == one.shape
