"""A call of PyTorch as the engine sees it, and the autograd functions that rules put in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from seqlight.attribution.calls.leaves import Structure, flatten_arguments, restore_arguments
from seqlight.attribution.calls.memory import storage_address
from seqlight.errors import UnsupportedOperation

Function = Callable[..., Any]


@dataclass(slots=True, eq=False)
class Call:
    """A call of PyTorch, as a function of those of its tensors that depend on the input.

    Parameters
    ----------
    name : str
        The name of the operation, the same for all spellings.
    function : callable
        The function called.
    leaves : list
        All arguments, flattened.
    structure : tuple of str or TreeSpec
        How to restore the arguments from the leaves.
    dependent : tuple of int
        The indices of the leaves that depend on the input.
    location : str
        The module it is made in, for messages.
    returns_indices : bool
        For a pooling: whether the positions of its maxima are asked for.
    """

    name: str
    function: Function
    leaves: list[Any]
    structure: Structure
    dependent: tuple[int, ...]
    location: str = ""
    returns_indices: bool = False

    @classmethod
    def from_arguments(
        cls, name: str, function: Function, args: Any, kwargs: Any, returns_indices: bool = False
    ) -> Call:
        """Describe ``function(*args, **kwargs)``."""
        leaves, structure = flatten_arguments(args, kwargs)
        dependent = tuple([i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad])
        return cls(name, function, leaves, structure, dependent, "", returns_indices)

    def __call__(self, *tensors: Tensor) -> Any:
        """Make the call with `tensors` in place of those that depend on the input."""
        if self.structure == ():
            return self.function(*(self._leaves_with(tensors) if tensors else self.leaves))
        args, kwargs = self.arguments(tensors)
        return self.function(*args, **kwargs)

    def arguments(self, tensors: tuple[Tensor, ...] | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return args and kwargs, with `tensors` in place of those that depend on the input."""
        return restore_arguments(self._leaves_with(tensors) if tensors else self.leaves, self.structure)

    @property
    def has_keywords(self) -> bool:
        """Whether any argument is given by its name."""
        return self.structure != () and bool(self.arguments()[1])

    def _leaves_with(self, tensors: tuple[Tensor, ...]) -> list[Any]:
        """Return the leaves with `tensors` in place of those that depend on the input."""
        leaves = self.leaves.copy()
        for at, tensor in zip(self.dependent, tensors, strict=True):
            leaves[at] = tensor
        return leaves

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that depend on the input."""
        return tuple([self.leaves[i] for i in self.dependent])

    def without_tensors(self) -> Call:
        """Return the call without those of its tensors that depend on the input: it is made with others."""
        leaves = [None if at in self.dependent else leaf for at, leaf in enumerate(self.leaves)]
        return replace(self, leaves=leaves)

    def broadcast(self) -> Call:
        """Return the call with each tensor that depends on the input expanded to the shape of the result."""
        shapes = (leaf.shape for leaf in self.leaves if isinstance(leaf, Tensor))
        shape = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
        if all(tensor.shape == shape for tensor in self.tensors):
            return self
        leaves = list(self.leaves)
        for at in self.dependent:
            leaves[at] = leaves[at].expand(shape)
        return replace(self, leaves=leaves)


class Rule(Protocol):
    """How one kind of operation is explained.

    A rule handles each call twice. `observe` makes the call with the sequences, which go through the model once, and
    keeps what `explain` will need. `explain` makes it with their references: it returns the true output of the
    operation, with a backward pass that multiplies by the mean Jacobian between the two.
    """

    @property
    def backward(self) -> type[torch.autograd.Function]:
        """The autograd function whose node represents the operation in the graph."""

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Return the result for the sequences, and what to keep for `explain`: copies if `copy` is true."""

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Return the result for the references, with the multiplier as its backward pass."""


class RuleFunction(torch.autograd.Function):
    """An autograd function of a rule: ``apply`` is hidden from the mode, which would otherwise handle it as a call."""

    apply = vars(torch._C._FunctionBase)["apply"]


class ObserveFunction(RuleFunction):
    """A result for the sequences: marked as dependent on the input, without a backward pass."""

    @staticmethod
    def forward(ctx: Any, compute: Function, *xs: Tensor) -> Any:
        """Return ``compute(*xs)``."""
        return compute(*[x.detach() for x in xs])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Raise UnsupportedOperation: only a model that takes gradients in its forward gets here."""
        refuse_inner_gradients()


def without_base(y: Tensor, *operands: Tensor) -> Tensor:
    """Return a result of an autograd function as a tensor of its own, if it is a view of anything but the operands.

    A model may write to a result in place, which autograd allows with a tensor that a function returns, but not with a
    view. The tensor that it is a view of, such as that of max pooling in 2-D for data in 1-D, is known to nobody else.
    """
    if y._base is None or any(storage_address(y) == storage_address(x) for x in operands):
        return y
    return y.data


def refuse_inner_gradients() -> None:
    """Raise UnsupportedOperation: only a gradient that the model itself takes goes back through the sequences' pass."""
    raise UnsupportedOperation(
        "a gradient is taken inside the model, which cannot be explained: "
        "write the derivative out, or leave that part of the model out."
    )


class PullbackFunction(RuleFunction):
    """A result for the references, whose backward pass is a function of the rule."""

    @staticmethod
    def forward(ctx: Any, compute: Function, *xs: Tensor) -> Any:
        """Return y, where ``compute(*xs)`` is y and a function from the gradient at y to the gradients at `xs`."""
        y, ctx.pullback = compute(*[x.detach() for x in xs])
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        return None, *ctx.pullback(grads[0])
