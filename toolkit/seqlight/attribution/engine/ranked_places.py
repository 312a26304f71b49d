"""The places of the largest numbers of a row, as ``topk`` and ``argmax`` return them, and what is looked up by these.

A number is among the k largest where it is no smaller than the k-th: a step of their difference. So an index has a
gradient as the row of zeros with a one at its place, and what takes the index is a sum of products with such rows.
Where numbers are equal, the row is that of the place that was chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function
from seqlight.attribution.engine.known_tensors import KnownTensors
from seqlight.attribution.engine.twins import Twin
from seqlight.attribution.rules.special_functions import slopeless


@dataclass(frozen=True)
class Ranked:
    """What an index tells.

    Parameters
    ----------
    source : Twin
        That of the tensor in which the places are.
    shape : torch.Size
        Its shape.
    dim : int
        The dimension along which it is ranked, counted from 0.
    ranks : int
        How many places there are in a row.
    sign : {1, -1}
        1 for the largest, -1 for the smallest.
    kept : bool
        Whether the index has that dimension, with the ranks.
    index : torch.Tensor, optional
        The places, once something is looked up by them.
    """

    source: Twin
    shape: torch.Size
    dim: int
    ranks: int
    sign: int
    kept: bool
    index: Tensor | None = None

    def values(self, x: Tensor) -> Tensor:
        """Return the numbers at these places."""
        y: Tensor = self.sign * torch.topk(self.sign * x, self.ranks, self.dim).values
        return y

    def rows(self, x: Tensor) -> list[Tensor]:
        """Return for each rank the tensor that is 1 at its place, and else 0."""
        steps = (x - one for one in torch.split(self.values(x), 1, self.dim))
        return [slopeless(step, partial(self._ones, slice(j, j + 1))) for j, step in enumerate(steps)]

    def among(self, x: Tensor) -> Tensor:
        """Return the tensor that is 1 at all places, and else 0."""
        last = self.values(x).narrow(self.dim, -1, 1)
        y: Tensor = slopeless(x - last, partial(self._ones, slice(None)))
        return y

    def _ones(self, ranks: slice, like: Tensor) -> Tensor:
        # By the places themselves, of which there is one only where numbers are equal.
        assert self.index is not None
        index = self.index if self.kept else self.index.unsqueeze(self.dim)
        chosen = index.movedim(self.dim, 0)[ranks].movedim(0, self.dim)
        return torch.zeros_like(like).scatter_(self.dim, chosen, 1)


class RankedPlaces(KnownTensors[Ranked]):
    """Indices."""

    def record_call(self, call: Call, y: Any, source: Twin | None) -> None:
        """Record the index that a call returns, if it ranks the tensor that `source` is the twin of."""
        arguments = call.arguments()
        if source is not None and is_ranking(call):
            found = _ranked(*arguments[0], source=source, name=call.name, **arguments[1])
            if found is not None:
                self.record(y[1] if call.name == "topk" else y, found)
        elif call.name == "unsqueeze":
            ranked = self.find(call.leaves[0])
            if ranked is not None and not ranked.kept and call.leaves[1] % len(ranked.shape) == ranked.dim:
                self.record(y, replace(ranked, kept=True))

    def looked_up(self, call: Call) -> tuple[int, Twin, Function] | None:
        """Return which argument of a call is an index, the tensor it ranks, and what to call with that instead."""
        function = LOOK_UPS.get(call.name)
        found = ((at, self.find(one)) for at, one in enumerate(call.leaves))
        at, ranked = next(((at, one) for at, one in found if one is not None), (0, None))
        if function is None or ranked is None or (function is getitem and at != 1):  # an index is looked up in, too
            return None
        own = function in (gather, take_along_dim) and ranked.source.compared == frozenset({id(call.leaves[0])})
        ranked = replace(ranked, index=call.leaves[at])
        return at, ranked.source, partial(gather_own if own else function, ranked)


def is_ranking(call: Call) -> bool:
    """Return whether a call returns the places of the largest or smallest numbers of its first argument."""
    return call.name in ("topk", "argmax", "argmin")


def _ranked(
    x: Tensor, *more: Any, source: Twin, name: str, dim: int | None = None, keepdim: bool = False, **named: Any
) -> Ranked | None:
    """Return what the index of a call tells, given its arguments."""
    if name == "topk":
        k, dim, largest, _ = [*more, *(named.get("k"), dim, True, True)[len(more) :]][:4]
        largest, k = named.get("largest", largest), named.get("k", k)
        return Ranked(source, x.shape, (-1 if dim is None else dim) % x.ndim, k, 1 if largest else -1, True)
    dim, keepdim = [*more, *(dim, keepdim)[len(more) :]][:2]
    if dim is None:
        return None
    return Ranked(source, x.shape, dim % x.ndim, 1, 1 if name == "argmax" else -1, keepdim)


def one_hot(ranked: Ranked, x: Tensor, num_classes: int = -1) -> Tensor:
    """Return what ``one_hot`` returns for the places in `x`; ValueError if there are other classes."""
    _require(num_classes in (-1, x.shape[ranked.dim]))
    rows = [one.movedim(ranked.dim, -1) for one in ranked.rows(x)]
    return torch.stack(rows, ranked.dim) if ranked.kept else rows[0]


def embedding(ranked: Ranked, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> Tensor:
    """Return the rows of `weight` at the places in `x`."""
    _require(len(weight) == x.shape[ranked.dim])
    y: Tensor = one_hot(ranked, x) @ weight
    return y


def getitem(ranked: Ranked, weight: Tensor, x: Tensor) -> Tensor:
    """Return the same, as ``weight[index]``."""
    return embedding(ranked, x, weight)


def gather(ranked: Ranked, input: Tensor, dim: int, index: Tensor, **_: Any) -> Tensor:
    """Return the numbers of `input` at the places in `index`."""
    _require(ranked.kept and dim % index.ndim == ranked.dim and input.shape == index.shape)
    return torch.cat([(one * input).sum(dim, keepdim=True) for one in ranked.rows(index)], dim)


def gather_own(ranked: Ranked, input: Tensor, *_: Any, **__: Any) -> Tensor:
    """Return the same of the tensor that is ranked: its largest numbers, which have a rule."""
    _require(ranked.kept)
    return ranked.values(input)


def take_along_dim(ranked: Ranked, input: Tensor, indices: Tensor, dim: int) -> Tensor:
    """Return the same."""
    return gather(ranked, input, dim, indices)


def scatter(ranked: Ranked, input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """Return `input` with one number, or one for each rank, at the places in `index`."""
    _require(ranked.kept and dim % index.ndim == ranked.dim and input.shape == index.shape)
    new, input = src if value is None else value, input.to(index.dtype)
    if not isinstance(new, Tensor):
        return input + ranked.among(index) * (float(new) - input)
    parts = torch.split(new.narrow(ranked.dim, 0, ranked.ranks), 1, ranked.dim)
    rows = [one * (part - input) for one, part in zip(ranked.rows(index), parts, strict=True)]
    return input + torch.stack(rows).sum(0)


def _require(is_so: bool) -> None:
    if not is_so:
        raise ValueError


LOOK_UPS: dict[str, Callable[..., Tensor]] = {
    **{"one_hot": one_hot, "embedding": embedding, "__getitem__": getitem, "gather": gather},
    **{"take_along_dim": take_along_dim, "scatter": scatter, "scatter_": scatter},
}
