"""A call of PyTorch as the engine sees it, and the autograd functions by which rules stand in for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.errors import UnsupportedOperation

Function = Callable[..., Any]


class _Flat(NamedTuple):
    """Arguments without tensors inside of others: how many have a place, and the names of the others."""

    places: int
    names: tuple[str, ...]


_CONTAINERS = (tuple, list, dict)


def may_contain_tensors(one: Any) -> bool:
    """Return whether to look into an argument; shapes and the like are left as they are."""
    if not isinstance(one, _CONTAINERS):
        return False
    return isinstance(one, dict) or any(isinstance(item, (Tensor, *_CONTAINERS)) for item in one)


@dataclass(slots=True, eq=False)
class Call:
    """A call of PyTorch as a function of those of its tensors that depend on the input.

    Parameters
    ----------
    name : str
        The operation's, the same for all spellings.
    function : callable
        What is called.
    leaves : list
        All arguments, flat.
    structure : pytree
        How to fold them up again.
    dependent : tuple of int
        Which leaves depend on the input.
    location : str
        In which module, for messages.
    returns_indices : bool
        Of a pooling: whether it has to tell where its maxima are.
    """

    name: str
    function: Function
    leaves: list[Any]
    structure: Any
    dependent: tuple[int, ...]
    location: str = ""
    returns_indices: bool = False

    @classmethod
    def from_arguments(
        cls, name: str, function: Function, args: Any, kwargs: Any, returns_indices: bool = False
    ) -> Call:
        """Describe ``function(*args, **kwargs)``."""
        structure: Any
        if any(map(may_contain_tensors, args)) or any(map(may_contain_tensors, kwargs.values())):
            leaves, structure = tree_flatten((args, kwargs))
        else:  # the common case, in which looking into each argument would take longer than many an operation
            leaves, structure = [*args, *kwargs.values()], _Flat(len(args), tuple(kwargs))
        dependent = tuple(i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad)
        return cls(name, function, leaves, structure, dependent, returns_indices=returns_indices)

    def __call__(self, *tensors: Tensor) -> Any:
        """Call it with `tensors` in the places that depend on the input."""
        args, kwargs = self.arguments(tensors)
        return self.function(*args, **kwargs)

    def arguments(self, tensors: tuple[Tensor, ...] | None = None) -> tuple[Any, Any]:
        """Return the arguments folded up, with `tensors` in the places that depend on the input."""
        leaves = list(self.leaves)
        for at, tensor in zip(self.dependent, tensors or self.tensors, strict=True):
            leaves[at] = tensor
        if isinstance(self.structure, _Flat):
            n, names = self.structure
            return tuple(leaves[:n]), dict(zip(names, leaves[n:], strict=True))
        folded: tuple[Any, Any] = tree_unflatten(leaves, self.structure)
        return folded

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that depend on the input."""
        return tuple(self.leaves[i] for i in self.dependent)

    def broadcast(self) -> Call:
        """Return it with each of its tensors that depend on the input as large as the result."""
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

    A rule sees each call twice. `observe` makes it with the sequences, which go through the model once, and keeps what
    `explain` will need. `explain` makes it with their references: it returns the true output of the operation, with a
    backward pass that multiplies by the mean Jacobian between the two.
    """

    @property
    def backward(self) -> type[torch.autograd.Function]:
        """The autograd function whose node stands for the operation in the graph."""

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Return the result for the sequences, and what to keep of it; with `copy`, in copies."""

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Return the result for the references, with the multiplier as its backward pass."""


class RuleFunction(torch.autograd.Function):
    """An autograd function of a rule: applied at once, without announcing itself to the mode that is asking."""

    apply = vars(torch._C._FunctionBase)["apply"]


class ObserveFunction(RuleFunction):
    """A result for the sequences: it depends on the input, and nothing will go back through it."""

    @staticmethod
    def forward(ctx: Any, compute: Function, *xs: Tensor) -> Any:
        """Return ``compute(*xs)``."""
        return compute(*(x.detach() for x in xs))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Refuse; only a model that takes gradients in its forward comes here."""
        refuse_inner_gradients()


def refuse_inner_gradients() -> None:
    """Raise UnsupportedOperation: what goes back through the sequences' pass is a gradient that the model asked for."""
    raise UnsupportedOperation(
        "a gradient is taken inside the model, which cannot be explained: "
        "write the derivative out, or leave that part of the model out"
    )


class PullbackFunction(RuleFunction):
    """A result for the references whose gradients at the operands a function makes."""

    @staticmethod
    def forward(ctx: Any, compute: Function, *xs: Tensor) -> Any:
        """Return the first of ``compute(*xs)``; the second makes gradients at `xs` of the gradient at it."""
        y, ctx.pull = compute(*(x.detach() for x in xs))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        return None, *ctx.pull(grads[0])
