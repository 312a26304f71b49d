"""Follow what depends on the input to where no gradient sees it: masks, detached tensors, indices, numbers.

Autograd forgets where such a tensor comes from. Here its memory is remembered, with the operation that made
it, and everything that is made of it in turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# They turn a tensor into what Python decides or computes with.
NUMBERS = frozenset("item tolist numpy __array__ __bool__ __float__ __int__ __index__ __complex__ equal".split())
RANDOM = frozenset(
    "bernoulli multinomial normal poisson binomial uniform exponential geometric cauchy log_normal random "
    "gumbel_softmax rrelu".split()
)


@dataclass(frozen=True)
class Origin:
    """The operation that took something of the input away from autograd.

    Parameters
    ----------
    operation, module : str
        What it is called, and where it was called.
    recording : bool
        Whether autograd was on.
    """

    operation: str
    module: str
    recording: bool = True


class Hidden:
    """Tensors that come from the input though they ask for no gradient, and numbers that left PyTorch.

    A tensor is known by its memory, so its views and those that share it are known too.
    """

    def __init__(self) -> None:
        self.numbers: list[tuple[Origin, Any]] = []
        self._origins: dict[int, Origin] = {}
        # Memory that is given back would be given to others.
        self._kept: list[Tensor] = []

    def origin(self, leaf: Any) -> Origin | None:
        """Return what made `leaf` of the input; None if it asks for a gradient, or nothing is known of it."""
        if not isinstance(leaf, Tensor) or leaf.requires_grad:
            return None
        return self._origins.get(memory_of(leaf))

    def first(self, leaves: Iterable[Any]) -> Origin | None:
        """Return the first origin of all that `leaves` have."""
        return next((found for found in map(self.origin, leaves) if found is not None), None)

    def remember(self, tensor: Tensor, origin: Origin) -> None:
        """Remember that `origin` made `tensor`, or wrote to it."""
        self._origins[memory_of(tensor)] = origin
        self._kept.append(tensor)


def memory_of(tensor: Tensor) -> int:
    """Return the address of a tensor's memory; its own number if it has none."""
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (NotImplementedError, RuntimeError):
        return id(tensor)


def is_random(name: str) -> bool:
    """Return whether the function of this name draws numbers, in place or not.

    >>> is_random("uniform_"), is_random("randn_like"), is_random("relu")
    (True, True, False)
    """
    return name.strip("_") in RANDOM or name.startswith("rand")


def takes_the_shape_alone(name: str) -> bool:
    """Return whether the function of this name makes a tensor that is like its first in nothing but its shape."""
    return (name.endswith("_like") or name.startswith("new_")) and not is_random(name)


def takes_the_first_alone(name: str) -> bool:
    """Return whether of what the function of this name takes, only the first counts with its values."""
    return name in ("to", "type_as", "expand_as", "view_as", "reshape_as")


def same(a: Any, b: Any) -> bool:
    """Return whether two arguments, which are not tensors with a gradient, have the same value.

    What is neither a tensor, an array nor a number counts as the same: it cannot carry the input.
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a is b or (a.shape == b.shape and a.dtype == b.dtype and _equal(a, b))
    if isinstance(a, bool | int | float | complex | slice | list | tuple):
        return bool(type(a) is type(b) and (a == b or (a != a and b != b)))
    if hasattr(a, "__array_interface__") and hasattr(b, "__array_interface__"):
        return bool(a.shape == b.shape and (a == b).all())
    return True


def _equal(a: Tensor, b: Tensor) -> bool:
    with torch.no_grad():
        return bool(torch.equal(a, b) or ((a == b) | ((a != a) & (b != b))).all())
