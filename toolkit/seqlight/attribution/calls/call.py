"""What the first pass leaves for the second: calls, tensors as they were, and outputs with no way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.errors import UnsupportedOperation

Function = Callable[..., Any]


class Overwritten(Exception):
    """A recorded tensor was changed in place: never seen by a user, the engine records copies and starts again."""


class Stepped(Exception):
    """A comparison came out otherwise for a reference: never seen by a user, what is made of it is integrated."""


class Discontinuous(Exception):
    """What is made of a comparison jumps: never seen by a user, the model is explained without integrating it.

    Parameters
    ----------
    part : object
        Which part of the model.
    """

    def __init__(self, part: object) -> None:
        super().__init__(part)
        self.part = part


@dataclass(slots=True, eq=False)
class Recorded:
    """A tensor, and how often it had been written to when it was recorded."""

    tensor: Tensor
    version: int

    @classmethod
    def of(cls, tensor: Tensor, copy: bool) -> Recorded:
        """Record `tensor` as it is, or a copy of it."""
        kept = tensor.detach().clone() if copy else tensor.detach()
        return cls(kept, kept._version)

    def get(self) -> Tensor:
        """Return the tensor; raise Overwritten if it is no longer what was recorded."""
        if self.tensor._version != self.version:
            raise Overwritten
        return self.tensor


class _Flat(NamedTuple):
    """Arguments without tensors inside of others: how many have a place, and the names of the others."""

    places: int
    names: tuple[str, ...]


_CONTAINERS = (tuple, list, dict)


def may_hold_tensors(one: Any) -> bool:
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
    live : tuple of int
        Which leaves depend on the input.
    where : str
        In which module, for messages.
    asked_where : bool
        Of a pooling: whether it has to tell where its maxima are.
    """

    name: str
    function: Function
    leaves: list[Any]
    structure: Any
    live: tuple[int, ...]
    where: str = ""
    asked_where: bool = False

    @classmethod
    def of(cls, name: str, function: Function, args: Any, kwargs: Any, asked_where: bool = False) -> Call:
        """Describe ``function(*args, **kwargs)``."""
        structure: Any
        if any(map(may_hold_tensors, args)) or any(map(may_hold_tensors, kwargs.values())):
            leaves, structure = tree_flatten((args, kwargs))
        else:  # the common case, in which looking into each argument would take longer than many an operation
            leaves, structure = [*args, *kwargs.values()], _Flat(len(args), tuple(kwargs))
        live = tuple(i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad)
        return cls(name, function, leaves, structure, live, asked_where=asked_where)

    def __call__(self, *tensors: Tensor) -> Any:
        """Call it with `tensors` in the places that depend on the input."""
        args, kwargs = self.arguments(tensors)
        return self.function(*args, **kwargs)

    def arguments(self, tensors: tuple[Tensor, ...] | None = None) -> tuple[Any, Any]:
        """Return the arguments folded up, with `tensors` in the places that depend on the input."""
        leaves = list(self.leaves)
        for at, tensor in zip(self.live, tensors or self.tensors, strict=True):
            leaves[at] = tensor
        if isinstance(self.structure, _Flat):
            n, names = self.structure
            return tuple(leaves[:n]), dict(zip(names, leaves[n:], strict=True))
        folded: tuple[Any, Any] = tree_unflatten(leaves, self.structure)
        return folded

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that depend on the input."""
        return tuple(self.leaves[i] for i in self.live)

    def broadcast(self) -> Call:
        """Return it with each of its tensors that depend on the input as large as the result."""
        shapes = (leaf.shape for leaf in self.leaves if isinstance(leaf, Tensor))
        shape = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
        if all(tensor.shape == shape for tensor in self.tensors):
            return self
        leaves = list(self.leaves)
        for at in self.live:
            leaves[at] = leaves[at].expand(shape)
        return replace(self, leaves=leaves)


class Rule(Protocol):
    """How one kind of operation is explained.

    A rule sees an operation twice. `observe` meets it with the sequences, which go through the
    model once, and keeps what will be needed. `explain` meets it with their references: it returns
    the operation's true output, tied to its inputs by a backward pass that multiplies with the mean
    Jacobian between the two.
    """

    @property
    def backward(self) -> type[torch.autograd.Function]:
        """The autograd function whose node stands for it in the graph."""

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Return the result for the sequences, and what to keep of it; with `copy`, in copies."""

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Return the result for the references, with the multiplier as its backward pass."""


class Observed(torch.autograd.Function):
    """An output that depends on its inputs, with no way back: all the first pass has to tell."""

    @staticmethod
    def forward(ctx: Any, compute: Function, *xs: Tensor) -> Any:
        """Return the output."""
        return compute(*(x.detach() for x in xs))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Refuse; only a model that takes gradients in its forward comes here."""
        refuse_inner_gradients()


def refuse_inner_gradients() -> None:
    """Raise UnsupportedOperation: what comes back in the first pass is a gradient that the model asked for."""
    raise UnsupportedOperation(
        "a gradient is taken inside the model, which cannot be explained: "
        "write the derivative out, or leave that part of the model out"
    )


class Pulled(torch.autograd.Function):
    """An output of which a function makes the way back, once the gradient is known."""

    @staticmethod
    def forward(ctx: Any, compute: Function, *xs: Tensor) -> Any:
        """Return the output; `compute` returns it, and what makes gradients at `xs` of that at the output."""
        y, ctx.pull = compute(*(x.detach() for x in xs))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        return None, *ctx.pull(grads[0])


def apply(function: type[torch.autograd.Function], *args: Any) -> Any:
    """Return the output of an autograd function."""
    return function.apply(*args)  # type: ignore[no-untyped-call]
