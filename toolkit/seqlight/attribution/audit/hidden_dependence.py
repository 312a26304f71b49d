"""Dependence on the input that gradients do not see: masks, detached tensors, indices, Python numbers.

Autograd does not record where such a tensor comes from. Here its memory address is recorded with the operation that
made it, and so is everything that is computed from it in turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.memory import storage_address

# Functions that turn a tensor into numbers, with which Python decides or computes.
NUMBER_FUNCTIONS = frozenset(
    "item tolist numpy __array__ __bool__ __float__ __int__ __index__ __complex__ equal".split()
)
RANDOM = frozenset(
    "bernoulli multinomial normal poisson binomial uniform exponential geometric cauchy log_normal random "
    "gumbel_softmax rrelu".split()
)


@dataclass(frozen=True)
class Origin:
    """The operation that hid a dependence on the input from autograd.

    Parameters
    ----------
    operation, module : str
        Its name, and the module that called it.
    recording : bool
        Whether gradients were enabled.
    """

    operation: str
    module: str
    recording: bool = True


class HiddenDependence:
    """Tensors that depend on the input without a gradient, and the Python numbers that were made of tensors.

    A tensor is identified by its memory, so its views, and other tensors on the same memory, have the same origin.

    Attributes
    ----------
    numbers : list of (Origin, number)
        In the order in which they were made.
    """

    def __init__(self) -> None:
        self.numbers: list[tuple[Origin, Any]] = []
        self._origins: dict[int, Origin] = {}
        # Keeps the tensors alive, for freed memory would be given to others.
        self._kept: list[Tensor] = []

    def origin(self, leaf: Any) -> Origin | None:
        """Return the operation that made `leaf` of the input; None if it has a gradient, or no known origin."""
        if not isinstance(leaf, Tensor) or leaf.requires_grad:
            return None
        return self._origins.get(storage_address(leaf))

    def first_origin(self, leaves: Iterable[Any]) -> Origin | None:
        """Return the first known origin of `leaves`, or None."""
        return next((found for found in map(self.origin, leaves) if found is not None), None)

    def record_origin(self, tensor: Tensor, origin: Origin) -> None:
        """Record that `origin` made `tensor`, or wrote to it."""
        self._origins[storage_address(tensor)] = origin
        self._kept.append(tensor)


def is_random(name: str) -> bool:
    """Return whether the function with this name draws random numbers, in place or not.

    >>> is_random("uniform_"), is_random("randn_like"), is_random("relu")
    (True, True, False)
    """
    return name.strip("_") in RANDOM or name.startswith("rand")


def uses_shape_only(name: str) -> bool:
    """Return whether the function with this name uses nothing of its first argument but shape, dtype and device."""
    return (name.endswith("_like") or name.startswith("new_")) and not is_random(name)


def uses_first_argument_only(name: str) -> bool:
    """Return whether the function with this name uses the values of its first argument only."""
    return name in ("to", "type_as", "expand_as", "view_as", "reshape_as")


def same_value(a: Any, b: Any) -> bool:
    """Return whether two arguments that have no gradient have the same value.

    Objects other than tensors, arrays and numbers count as the same, for they cannot depend on the input.
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
