"""What a model computed in a forward pass, for the pass of the sequences that follows: neither is computed twice.

A loss takes the outputs of a model in training mode, and attributions those in evaluation mode. Up to the first
operation that differs in training, such as dropout or batch norm, both passes make the same calls of the same tensors:
calls whose results are known. Which they are is not told by the kinds of modules, but found call by call.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from seqlight.attribution.calls.function_bodies import open_body
from seqlight.attribution.calls.leaves import flatten_arguments, tensors_in
from seqlight.attribution.calls.memory import storage_address
from seqlight.attribution.calls.metadata import METADATA
from seqlight.attribution.engine.visibility import is_compiled
from seqlight.attribution.rules.operation_names import writes_in_place
from seqlight.attribution.rules.recurrent_arguments import as_in_evaluation, networks

# A function of PyTorch that is told whether it is in training: most calls inside are the same in both cases.
_OPENED = {F.multi_head_attention_forward: open_body(F.multi_head_attention_forward)}
# What hands out the memory of a tensor: what is written there afterwards, the version of the tensor does not tell.
_EXPOSING = frozenset("numpy __array__ data_ptr storage untyped_storage __dlpack__".split())


class KnownIsWritten(Exception):
    """The pass of the sequences writes in place to what the forward pass of the loss has computed."""


@dataclass
class _Recorded:
    """A call and what it returned, with the versions of all tensors: none may be written to since."""

    leaves: list[Any]
    structure: Any
    versions: list[int]
    result: Any
    tensors: list[Tensor]
    result_versions: list[int]

    @classmethod
    def of(cls, func: Any, args: Any, kwargs: Any, result: Any) -> _Recorded | None:
        """Describe a call; None if it returned no tensor, or one of those that it took."""
        if not (tensors := tensors_in(result)):
            return None
        leaves, structure = _flatten(func, args, kwargs)
        if any(one is another for one in tensors for another in leaves):
            return None
        return cls(leaves, structure, _versions(leaves), result, tensors, _versions(tensors))

    def is_untouched(self) -> bool:
        """Return whether no tensor was written to."""
        return self.versions == _versions(self.leaves) and self.result_versions == _versions(self.tensors)


def _versions(leaves: list[Any]) -> list[int]:
    return [one._version for one in leaves if isinstance(one, Tensor)]


class ForwardRecord(TorchFunctionMode):
    """Records the forward pass of a model inside a ``with`` block, for an attribution prior of the same step.

    The forward pass is the same as without. With the record the prior does not compute again what its own pass of the
    sequences has in common with it: everything up to the first dropout or batch norm that is in training mode, and the
    whole pass if there is none. Of compiled models and under autocast nothing is recorded.

    Parameters
    ----------
    model : torch.nn.Module
        Called inside, with the inputs that the prior gets.

    Notes
    -----
    The outputs and the term share parts of autograd's graph: take one backward pass, of their sum. A hook on the
    gradient of a hidden tensor sees the sum of both.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight.lit import AttributionPrior, ForwardRecord
    >>> from seqlight.lit.penalties import Sparsity
    >>> model = nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(48, 1))
    >>> X = sl.random_one_hot((2, 4, 20)).float()
    >>> with ForwardRecord(model) as record:
    ...     outputs = model(X)
    >>> (outputs.square().mean() + AttributionPrior(Sparsity())(model, X, record)).backward()
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.is_off = is_compiled(model)  # a mode would be compiled into it
        self._calls: dict[Any, list[_Recorded]] = defaultdict(list)
        self._exposed: list[Tensor] = []  # kept, so that their memory is nobody else's

    def __enter__(self) -> ForwardRecord:
        if not self.is_off:
            super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        if not self.is_off:
            super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in METADATA:
            return func(*args, **kwargs)
        if (body := _OPENED.get(func)) is None:
            y = func(*args, **kwargs)
        else:
            with self:
                y = body(*args, **kwargs)
        if exposes(func):
            self._exposed.append(args[0])
        if torch.is_grad_enabled() and not _casts(y):
            recorded = _Recorded.of(func, args, kwargs, y)
            if recorded is not None:
                self._calls[func].append(recorded)
        return y

    def known_calls(self, x: Tensor, copies: Iterable[tuple[Tensor, Tensor]]) -> KnownCalls | None:
        """Return what is known of a pass of `x`; None if a pass of something else was recorded.

        Parameters
        ----------
        x : torch.Tensor
            The sequences, which have no gradient.
        copies : iterable of pairs of torch.Tensor
            Further tensors of that pass, each with the one that it is a copy of.
        """
        given = self._find_input(x)
        return None if given is None else KnownCalls(self, given, copies)

    def _find_input(self, x: Tensor) -> Tensor | None:
        seen = set[int]()
        for call in itertools.chain.from_iterable(self._calls.values()):
            tensors = [one for one in call.leaves if isinstance(one, Tensor)]
            for one, version in zip(tensors, call.versions, strict=True):
                if id(one) not in seen and not one.requires_grad and one._version == version:
                    seen.add(id(one))
                    if _are_equal(one, x):
                        return one
        return None

    def find(self, func: Any, leaves: list[Any], structure: Any) -> Any:
        """Return what a call returned with these arguments, flattened; None if it was not made."""
        for one in self._calls.get(func, ()):
            if _is_same(leaves, one.leaves) and one.structure == structure and one.is_untouched():
                return None if self._exposed and self._is_exposed(one) else one.result
        return None

    def _is_exposed(self, call: _Recorded) -> bool:
        """Return whether a tensor of a call may have been written to without a new version."""
        places = {storage_address(one) for one in self._exposed}
        tensors = [*(one for one in call.leaves if isinstance(one, Tensor)), *call.tensors]
        return any(storage_address(one) in places or any(one is other for other in self._exposed) for one in tensors)


class KnownCalls:
    """What is known of the calls of a pass of sequences, from a record of the forward pass that it follows.

    Parameters
    ----------
    record : ForwardRecord
    given : torch.Tensor
        The sequences in the record.
    copies : iterable of pairs of torch.Tensor
        Tensors of this pass, each with the one in the record that it is a copy of.
    """

    def __init__(self, record: ForwardRecord, given: Tensor, copies: Iterable[tuple[Tensor, Tensor]]) -> None:
        self._record, self._given = record, given
        # By id, with the tensor itself, so that no id is used again, and its version: a copy may be written to.
        self._originals = {id(one): (one, original, one._version) for one, original in copies}
        self._inputs = set[int]()
        self._handed_out = set[int]()

    def begin(self, x: Tensor) -> None:
        """Note that `x` is the input of the pass."""
        self._note(x, self._given)

    def find(self, func: Any, args: Any, kwargs: Any, inputs: bool = True) -> Any:
        """Return the result of a call, if it is known and has a gradient; else None.

        Parameters
        ----------
        func, args, kwargs
            The call.
        inputs : bool
            Whether it may take the input of the pass, to which the graph of what is known does not lead.
        """
        leaves, structure = _flatten(func, args, kwargs)
        if not inputs and any(id(one) in self._inputs for one in leaves):
            return None
        found = self._find(leaves, structure, func)
        tensors = tensors_in(found)
        if not any(one.requires_grad for one in tensors):
            return None
        self._handed_out.update(map(storage_address, tensors))
        return found

    def prepare(self, func: Any, args: Any, kwargs: Any) -> None:
        """Raise KnownIsWritten if a call that is about to be made may write to a result that the loss has, too."""
        if not self._handed_out:
            return
        writes = exposes(func) or kwargs.get("inplace") or writes_in_place(getattr(func, "__name__", ""))
        written = [*args[:1], kwargs.get("input")] if writes else []
        for one in (*written, kwargs.get("out")):
            if isinstance(one, Tensor) and storage_address(one) in self._handed_out:
                raise KnownIsWritten

    def follow(self, func: Any, args: Any, kwargs: Any, y: Any) -> None:
        """Note that `y`, the result of a call, is an input too, if it is known and has no gradient in the record."""
        if not isinstance(y, Tensor):
            return
        leaves, structure = _flatten(func, args, kwargs)
        if not self._inputs.isdisjoint(map(id, leaves)):
            found = self._find(leaves, structure, func)
            if isinstance(found, Tensor) and not found.requires_grad:
                self._note(y, found)

    def _note(self, x: Tensor, original: Tensor) -> None:
        self._originals[id(x)] = x, original, x._version
        self._inputs.add(id(x))

    def _find(self, leaves: list[Any], structure: Any, func: Any) -> Any:
        return self._record.find(func, [self._original(one) for one in leaves], structure)

    def _original(self, leaf: Any) -> Any:
        """Return the tensor of the record that a tensor is a copy of; itself, if it is none any more."""
        copy, original, version = self._originals.get(id(leaf), (None, None, 0))
        return leaf if copy is None or copy._version != version else original


def exposes(func: Any) -> bool:
    """Return whether a call makes it possible to write to its first argument without a new version of it.

    Examples
    --------
    >>> exposes(Tensor.data.__get__), exposes(Tensor.numpy), exposes(Tensor.shape.__get__)
    (True, True, False)
    """
    name = getattr(func, "__name__", "")
    if name in ("__get__", "__set__"):
        return getattr(getattr(func, "__self__", None), "__name__", "") == "data"
    return name in _EXPOSING


def _flatten(func: Any, args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    """Return the arguments of a call, flattened, as they are in evaluation mode if the call is the same there."""
    return flatten_arguments(as_in_evaluation(*args) if func in networks() and not kwargs else args, kwargs)


def _is_same(leaves: list[Any], others: list[Any]) -> bool:
    """Return whether two calls take the same: the same tensors, or such without a graph that hold the same numbers."""
    if len(leaves) != len(others):
        return False
    unlike = [(one, other) for one, other in zip(leaves, others, strict=True) if one is not other]
    # A comparison of tensors takes time, and those that need a gradient are what makes most calls differ.
    if any(isinstance(one, Tensor) and one.requires_grad for pair in unlike for one in pair):
        return False
    return all(_are_equal(one, other) for one, other in unlike)


def _are_equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    try:
        if isinstance(one, Tensor):
            is_alike = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
            return is_alike and torch.equal(one, other)
        return bool(one == other)
    except (TypeError, ValueError, RuntimeError):  # arrays, say, or sparse tensors
        return False


def _casts(y: Any) -> bool:
    """Return whether autocast is on where a result lies: it does not in the pass of the sequences."""
    return any(torch.is_autocast_enabled(one.device.type) for one in tensors_in(y))
