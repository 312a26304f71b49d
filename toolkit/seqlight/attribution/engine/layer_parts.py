"""Parts of what a model adds up: the branches of residual sums, and the heads of attention, met as it computes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.leaves import tensors_in
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.engine.modes import CallMode

_ADD = torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor
_SUMS = frozenset([torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__, *_ADD])
_SOFTMAX = frozenset([F.softmax, torch.softmax, Tensor.softmax])
_KEPT = frozenset([F.dropout, torch.dropout, Tensor.to, Tensor.type_as, Tensor.contiguous])
_PRODUCTS = frozenset([torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.einsum])


class PartsMode(CallMode):
    """Also passes sums of two tensors that depend on the input, and what attention returns, to the taps of the policy.

    It stands before the mode of a pass: :func:`with_parts`.
    """

    meet: Callable[[str, Tensor], Snapshot | None]  # that of the mode behind it
    _inside = 0  # a function of PyTorch that is opened: its sums are not the model's
    _heads = 0  # of the multi-head attention that is computed now
    _has_weights = False  # whether it has them by now, so that the next product is what it returns

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._weights: Any = WeakIdKeyDictionary()  # of attention that is written out

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _SUMS:
            return self._add(func, types, args, kwargs or {})
        y = super().__torch_function__(func, types, args, kwargs)
        if func is F.scaled_dot_product_attention or (func in _PRODUCTS and self._is_weighted(y, args)):
            self._meet_heads(y)
        elif self._heads:
            if func is torch.bmm and self._has_weights:
                self._has_weights = False
                return self._with_heads_apart(y)
            self._has_weights |= func in _SOFTMAX
        elif func in _SOFTMAX or (func in _KEPT and args and args[0] in self._weights):
            self._weights[y] = True
        return y

    def _run_decomposed(self, function: Any, call: Call) -> Any:
        before, self._inside = self._heads, self._inside + 1
        if call.name == "multi_head_attention_forward":
            args, kwargs = call.arguments()
            self._heads, self._has_weights = int(kwargs["num_heads"] if "num_heads" in kwargs else args[4]), False
        try:
            return super()._run_decomposed(function, call)
        finally:
            self._heads, self._inside = before, self._inside - 1

    def _add(self, func: Any, types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        a, b = (*args, *(kwargs.get(name) for name in ("input", "other")[len(args) :]))[:2]
        taps = self.policy.taps
        if taps is None or self._inside or not torch.is_grad_enabled() or not _are_branches(a, b):
            return super().__torch_function__(func, types, args, kwargs)
        names = taps.source_of(a), taps.source_of(b)
        y = super().__torch_function__(func, types, args, kwargs)
        with torch._C.DisableTorchFunction():
            taps.read_sum(self, y, b, float(kwargs.get("alpha", 1)), names)
        return y

    def _is_weighted(self, y: Tensor, factors: Any) -> bool:
        """Return whether a product is of the weights of several heads, (..., heads, queries, keys), and values."""
        found = (one for one in tensors_in(factors) if one in self._weights)
        return any(one.ndim == y.ndim and one.shape[:-1] == y.shape[:-1] for one in found)

    def _meet_heads(self, y: Tensor) -> None:
        taps = self.policy.taps
        if taps is not None and y.requires_grad and y.ndim > 3 and y.shape[-3] > 1:
            with torch._C.DisableTorchFunction():
                taps.read_heads(self, y)

    def _with_heads_apart(self, y: Tensor) -> Tensor:
        """Return a product of which the first dimension holds rows and heads, read with the two apart."""
        if not y.requires_grad:
            return y
        with torch._C.DisableTorchFunction():
            apart = y.view(-1, self._heads, *y.shape[1:])
            self._meet_heads(apart)
            return apart.flatten(0, 1)


def _are_branches(a: Any, b: Any) -> bool:
    """Return whether two summands depend on the input and have the shape of the sum."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.shape != b.shape or not a.ndim:
        return False
    return all(one.requires_grad and one.is_floating_point() for one in (a, b))


@cache
def with_parts(mode: type[CallMode]) -> type[Any]:
    """Return the class of a mode that reads parts as well."""
    return type(f"{mode.__name__}WithParts", (PartsMode, mode), {})
