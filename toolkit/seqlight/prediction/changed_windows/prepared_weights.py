"""Weights in the layout that a rule needs, made once for all sequences of a call."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch import Tensor, nn


class PreparedWeights:
    """What was made of parameters, found again while they are the same.

    Weights that a model computes anew at each call, as weight norm does, are prepared anew.

    Attributes
    ----------
    reused : set of int
        The identities of weights whose outputs a model uses more than once.

    Examples
    --------
    >>> import torch
    >>> weight, prepared = nn.Parameter(torch.arange(3.0)), PreparedWeights()
    >>> prepared.find(weight, "flipped", lambda one: one.flip(0)).tolist()
    [2.0, 1.0, 0.0]
    """

    def __init__(self) -> None:
        self.reused: set[int] = set()
        self._known: dict[tuple[int, Hashable], tuple[Tensor, int, Tensor]] = {}

    def find(self, weight: Tensor, name: Hashable, prepare: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``prepare(weight)``; `name` says which preparation this is."""
        if not isinstance(weight, nn.Parameter) or weight.is_inference():
            return prepare(weight)
        known = self._known.get((id(weight), name))
        if known is not None and known[1] == weight._version:
            return known[2]
        found = prepare(weight)
        self._known[id(weight), name] = weight, weight._version, found
        return found
