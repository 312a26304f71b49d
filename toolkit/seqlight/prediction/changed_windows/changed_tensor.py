"""A tensor of which only windows are computed, and which answers a model as if it were whole."""

from __future__ import annotations

import weakref
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from seqlight.errors import UnsupportedOperation
from seqlight.prediction.changed_windows.call import Call
from seqlight.prediction.changed_windows.flat_windows import FlatWindows
from seqlight.prediction.changed_windows.pointwise import NUMBER
from seqlight.prediction.changed_windows.reference_outputs import ReferenceOutputs
from seqlight.prediction.changed_windows.table import FLAT_RULES, RULES, VIEWS
from seqlight.prediction.changed_windows.windows import Windows

# Questions about a tensor that its numbers do not matter for.
_QUESTIONS = frozenset(
    """
    size dim ndimension numel nelement is_floating_point is_complex element_size get_device __len__ is_contiguous
    is_nonzero_ is_signed is_shared is_inference __hash__
    """.split()
)
_NUMBERS = frozenset("data T H mT mH real imag".split())
# Activations that write to their argument if they are told so, by name or by position.
_MAY_WRITE = frozenset(
    """
    relu relu6 elu selu celu leaky_relu silu mish hardtanh hardswish hardsigmoid threshold dropout dropout1d dropout2d
    alpha_dropout rrelu
    """.split()
)


class ChangedTensor(Tensor):
    """A tensor that equals a reference but for windows of positions.

    Where an operation has no rule, the tensor is computed whole, and is an ordinary one from there on.

    Parameters
    ----------
    windows : Windows or FlatWindows
    outputs : ReferenceOutputs
        What operations make of the reference.

    Examples
    --------
    >>> import torch
    >>> from seqlight.prediction.changed_windows.windows import PlainWindows
    >>> one = PlainWindows(torch.zeros(1, 2, 9), torch.ones(3, 2, 1), torch.tensor([0, 4, 8]), 2)
    >>> changed = ChangedTensor(one, ReferenceOutputs())
    >>> changed.shape, torch.relu(changed).windows.width
    (torch.Size([3, 2, 9]), 1)
    >>> whole(changed)[1, 0]
    tensor([0., 0., 0., 0., 1., 0., 0., 0., 0.])
    """

    windows: Windows | FlatWindows
    outputs: ReferenceOutputs
    in_full: Tensor | None
    views: list[weakref.ref[ChangedTensor]]

    @staticmethod
    def __new__(cls, windows: Windows | FlatWindows, outputs: ReferenceOutputs) -> ChangedTensor:
        """Return a tensor without numbers of its own."""
        one: ChangedTensor = Tensor._make_wrapper_subclass(
            cls, windows.shape, dtype=windows.reference.dtype, device=windows.reference.device
        )
        return one

    def __init__(self, windows: Windows | FlatWindows, outputs: ReferenceOutputs) -> None:
        self.windows, self.outputs, self.in_full = windows, outputs, None
        self.views = [weakref.ref(self)]

    @classmethod
    def __torch_dispatch__(cls, func: Any, *others: Any) -> NoReturn:
        raise UnsupportedOperation(f"{func} was reached below PyTorch's functions, with no numbers to compute on")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name == "__get__":
            name = func.__self__.__name__
            if name not in _NUMBERS:
                return _answer(func, args, kwargs)
        elif name in _QUESTIONS:
            return _answer(func, args, kwargs)
        leaves, spec = tree_flatten((args, kwargs))
        changed = [one for one in leaves if isinstance(one, ChangedTensor) and one.in_full is None]
        writes = _writes(name, args, kwargs)
        if (writes or name == "__setitem__") and isinstance(leaves[0], ChangedTensor):
            leaves[0].require_no_views()
        if changed:
            bare = name[:-1] if name.endswith("_") and not name.endswith("__") else name
            found = _follow(bare, func, leaves, spec, changed[0].outputs, writes)
            if found is not None:
                return _write(leaves[0], found) if writes else _shared(bare, changed[0], found)
        args, kwargs = tree_unflatten([whole(one) for one in leaves], spec)
        return func(*args, **kwargs)

    def require_no_views(self) -> None:
        """Raise UnsupportedOperation if other tensors share the memory that would be written to."""
        self.views[:] = [one for one in self.views if one() is not None]
        if len(self.views) > 1:
            raise UnsupportedOperation("a model writes to a tensor of which it has other views")


def whole(one: Any) -> Any:
    """Return a tensor in full, the same one each time, and anything else as it is."""
    if not isinstance(one, ChangedTensor):
        return one
    if one.in_full is None:
        one.outputs.spent += 2 * NUMBER * one.windows.reference.numel()
        one.outputs.note(one.windows.reference.numel(), one.windows.reference.numel())
        one.in_full = one.windows.whole()
    return one.in_full


def _answer(func: Any, args: Any, kwargs: Any) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


def _writes(name: str, args: Any, kwargs: Any) -> bool:
    """Return whether a call writes to its first argument."""
    if name in _MAY_WRITE:
        place = 3 if "dropout" in name else 1
        return bool(kwargs.get("inplace")) or any(one is True for one in args[place:])
    own = name.startswith("__i") and name not in ("__invert__", "__index__", "__int__")
    return own or (name.endswith("_") and not name.endswith("__"))


def _follow(name: str, func: Any, leaves: Any, spec: Any, outputs: ReferenceOutputs, writes: bool) -> Any:
    """Return what the rule of an operation makes of a call, windows or whole tensors; None where there is no rule."""
    flat = any(isinstance(one, ChangedTensor) and isinstance(one.windows, FlatWindows) for one in leaves)
    rule = (FLAT_RULES if flat else RULES).get(name)
    if rule is None:
        return None
    if writes and not (isinstance(leaves[0], ChangedTensor) and leaves[0].in_full is None):
        return None
    call = Call(name, func, [_as_argument(one) for one in leaves], spec, outputs, writes)
    if call.arguments[1].get("out") is not None:
        return None
    found = rule(call)
    if found is call.leaves[0]:
        return leaves[0]
    return tree_map(lambda one: ChangedTensor(one, outputs) if isinstance(one, Windows | FlatWindows) else one, found)


def _as_argument(one: Any) -> Any:
    if not isinstance(one, ChangedTensor):
        return one
    return one.windows if one.in_full is None else one.in_full


def _write(target: ChangedTensor, found: ChangedTensor) -> ChangedTensor:
    """Give a tensor the numbers of another one."""
    if not isinstance(found, ChangedTensor) or found.windows.shape != target.windows.shape:
        raise UnsupportedOperation("a model writes numbers of another shape")
    target.windows = found.windows
    return target


def _shared(name: str, source: ChangedTensor, found: Any) -> Any:
    """Note that tensors may share the memory of the one that they were made from."""
    if name in VIEWS:
        for one in tree_flatten(found)[0]:
            if isinstance(one, ChangedTensor) and one is not source:
                one.views = source.views
                source.views.append(weakref.ref(one))
    return found
