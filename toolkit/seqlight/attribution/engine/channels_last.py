"""Modes in which the results of convolutions lie in memory with channels last, and no model can tell.

PyTorch's convolutions on a CPU are faster so (``kernels/channels_last.py``), but a model may ask for a view of a
tensor, or for its address, which depend on how it lies. So a tensor lies with channels last only as long as it meets
nothing but operations of a short list, which do not tell. Before any other call it is put back: the tensor that the
model holds gets other memory, in which it lies as PyTorch's own would, and so do all that the model kept at the end.

To put tensors back takes time. So the pass of the sequences, where all lie as usual, finds out between which
convolutions there is nothing but such operations, and only these are made so in the pass of the references.
"""

from __future__ import annotations

import weakref
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, Rule
from seqlight.attribution.calls.leaves import flatten_arguments
from seqlight.attribution.calls.record import Snapshot, map_snapshots
from seqlight.attribution.engine.modes import CallMode, ReferenceMode, SequenceMode
from seqlight.attribution.kernels.averages import mean
from seqlight.attribution.kernels.batch_norm import batch_norm
from seqlight.attribution.kernels.channels_last import (
    Plan,
    arrange_channels_last,
    convolve,
    lies_channels_last,
    plan_convolution,
)
from seqlight.attribution.kernels.convolution import conv1d
from seqlight.attribution.rules.operation_names import spellings

# Operations whose result is the same however their operand lies, and lies as that does.
PRESERVING = """
    conv1d relu relu_ gelu silu silu_ sigmoid sigmoid_ tanh tanh_ elu elu_ leaky_relu leaky_relu_ softplus mish
    dropout dropout_ dropout1d feature_dropout add __add__ __radd__ add_ __iadd__ sub __sub__ __rsub__ sub_ __isub__
    batch_norm mean sum
"""
# What a model asks of a tensor that does not depend on how it lies.
QUERIES = "size dim ndimension numel nelement __len__ is_floating_point is_complex"
PROPERTIES = "shape ndim dtype device requires_grad is_cuda is_cpu layout is_leaf"
_OWN_CLASSES = (Tensor, nn.Parameter)
_NOWHERE: frozenset[int] = frozenset()


class TensorRegister:
    """Tensors that are alive, with the convolutions that each comes from."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Tensor], frozenset[int]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, one: object) -> bool:
        entry = self._entries.get(id(one))
        return entry is not None and entry[0]() is one

    def alive(self) -> list[Tensor]:
        """Return all of them."""
        found = [reference() for reference, _ in self._entries.values()]
        return [one for one in found if one is not None]

    def sources(self, *some: Tensor) -> frozenset[int]:
        """Return the convolutions that tensors come from."""
        return _NOWHERE.union(*(self._entries[id(one)][1] for one in some if one in self))

    def add(self, one: Tensor, sources: frozenset[int]) -> None:
        """Add a tensor."""
        self._entries[id(one)] = weakref.ref(one), sources

    def remove(self, one: Tensor) -> None:
        """Remove a tensor, if it is there."""
        self._entries.pop(id(one), None)


class ChannelsLast(CallMode):
    """A mode that follows the results of convolutions for as long as no one can tell how they lie."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.followed, self.convolutions = TensorRegister(), 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.followed:
            return super().__torch_function__(func, types, args, kwargs)
        tensors = _tensors(args, kwargs or {})
        met = [one for one in tensors if one in self.followed]
        if not met or func in query_functions():
            return super().__torch_function__(func, types, args, kwargs)
        others = (one for one in tensors if one not in self.followed)
        preserves = func in preserving_functions() and torch.is_grad_enabled() and all(map(_lies_as_usual, others))
        if not preserves or "out" in (kwargs or ()):
            for one in met:
                self.leave(one)
            return super().__torch_function__(func, types, args, kwargs)
        sources = self.followed.sources(*met)
        y = super().__torch_function__(func, types, args, kwargs)
        self.follow(y, sources, met)
        return y

    def call_directly(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule; a convolution as it is planned."""
        plan = plan_convolution(*args, **kwargs) if func is conv1d else None
        if plan is None:
            return super().call_directly(func, args, kwargs)
        at, self.convolutions = self.convolutions, self.convolutions + 1
        return self.convolve(at, plan, args, kwargs)

    def convolve(self, at: int, plan: Plan, args: Any, kwargs: Any) -> Any:
        """Make a convolution, the one of number `at`."""
        raise NotImplementedError

    def follow(self, y: Any, sources: frozenset[int], operands: list[Tensor]) -> None:
        """Follow the result of an operation that does not tell how its operands lie."""
        raise NotImplementedError

    def leave(self, one: Tensor) -> None:
        """Follow a tensor no longer: it meets an operation that may tell how it lies."""
        self.followed.remove(one)


class ChannelsLastSequenceMode(ChannelsLast, SequenceMode):
    """The mode of the pass of the sequences: all tensors lie as usual, and the record says which should not."""

    def convolve(self, at: int, plan: Plan, args: Any, kwargs: Any) -> Any:
        """Make a convolution, and find out whether its operand comes from another."""
        y = super(ChannelsLast, self).call_directly(conv1d, args, kwargs)
        sources = self.followed.sources(*_tensors(args, kwargs))
        arranged = self.record.arranged or _NOWHERE
        self.record.arranged = arranged | sources | {at} if sources or plan.has_many_terms else arranged
        self.followed.add(y, frozenset((at,)))
        return y

    def follow(self, y: Any, sources: frozenset[int], operands: list[Tensor]) -> None:
        """Follow a result that would lie as its operands do."""
        if isinstance(y, Tensor) and y not in self.followed and y.ndim == 3 and y.is_contiguous():
            self.followed.add(y, sources)


class ChannelsLastReferenceMode(ChannelsLast, ReferenceMode):
    """The mode of the pass of the references."""

    depth = 0

    def __enter__(self) -> Any:
        self.depth += 1
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self.depth -= 1  # a call that is written in others enters the mode again
        if not self.depth:
            for one in self.followed.alive():
                self.leave(one)

    def call_directly(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule; a convolution, batch norm or mean as it is fastest here."""
        if func is F.batch_norm:
            func = batch_norm
        elif func in mean_functions() and args and args[0] in self.followed:
            func = mean
        return super().call_directly(func, args, kwargs)

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call, with what was recorded of it lying as its operands do."""
        if self.position < len(self.record.calls) and any(one in self.followed for one in call.tensors):
            name, kept = self.record.calls[self.position]
            self.record.calls[self.position] = name, map_snapshots(kept, _arrange)
        return super().explain(rule, call, copy)

    def convolve(self, at: int, plan: Plan, args: Any, kwargs: Any) -> Any:
        """Make a convolution, whose result lies with channels last if that was found useful."""
        arranges = at in (self.record.arranged or _NOWHERE)
        if not (arranges or plan.has_few_channels):
            return super(ChannelsLast, self).call_directly(conv1d, args, kwargs)
        y = convolve(plan._replace(arranges=arranges), *_operands(args, kwargs))
        self.policy.arranges = True
        self.follow(y, frozenset((at,)), [])
        return y

    def follow(self, y: Any, sources: frozenset[int], operands: list[Tensor]) -> None:
        """Follow a result that lies with channels last; any other is made to lie as usual."""
        if y in self.followed:
            return
        for one in y if isinstance(y, tuple) else (y,):
            if isinstance(one, Tensor) and not (one.is_contiguous() or one._is_view()):
                if one is y and lies_channels_last(one):
                    return self.followed.add(one, sources)
                one.data = one.detach().contiguous()
        for one in operands:
            _return_gradients(one)

    def leave(self, one: Tensor) -> None:
        """Give a tensor other memory, in which it lies as usual."""
        super().leave(one)
        _return_gradients(one)
        one.data = one.detach().contiguous()


@cache
def preserving_functions() -> frozenset[Any]:
    """Return the functions whose result is the same however their operand lies, and lies as that does."""
    return frozenset(function for name in PRESERVING.split() for function in spellings(name))


@cache
def mean_functions() -> frozenset[Any]:
    """Return the functions that average."""
    return frozenset(spellings("mean"))


@cache
def query_functions() -> frozenset[Any]:
    """Return the functions that ask a tensor what does not depend on how it lies."""
    asked = {function for name in QUERIES.split() for function in spellings(name)}
    return frozenset(asked | {getattr(Tensor, name).__get__ for name in PROPERTIES.split()})


def _tensors(args: Any, kwargs: Any) -> list[Tensor]:
    """Return the tensors among arguments, and in what these contain."""
    return [one for one in flatten_arguments(args, kwargs)[0] if isinstance(one, Tensor)]


def _lies_as_usual(one: Tensor) -> bool:
    return type(one) in _OWN_CLASSES and one.is_contiguous()


def _arrange(one: Snapshot) -> Snapshot:
    tensor = one.get()
    if tensor.ndim != 3 or not tensor.is_contiguous():
        return one
    tensor = arrange_channels_last(tensor)
    return Snapshot(tensor, tensor._version)


def _return_gradients(one: Tensor) -> None:
    """Let the gradient of a tensor lie as the tensor does, whatever follows."""
    if one.requires_grad:
        one.register_hook(_arrange_gradient)  # type: ignore[no-untyped-call]


def _arrange_gradient(grad: Tensor) -> Tensor:
    """Return a gradient with channels last, but one number for all positions, as that of a mean, as it is."""
    return grad if grad.stride(-1) == 0 else arrange_channels_last(grad)


def _operands(args: Any, kwargs: Any) -> list[Any]:
    """Return input, weight and bias of a convolution."""
    given = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
    return [given["input"], given["weight"], given.get("bias")]
