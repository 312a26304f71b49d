"""A pickle module that runs no code of the files it reads: whatever they name besides tensors becomes a stand-in.

``torch.load(..., weights_only=True)`` refuses a whole checkpoint because of a single setting that is no number, such as
a Namespace or a path. Here such an object is read as an instance of a class made on the spot, which accepts anything
and does nothing. Only the functions that build tensors are found by name, and each file gets new ones.
"""

from __future__ import annotations

import pickle
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import torch


class FixedAttributes(type):
    """A metaclass of classes whose attributes a file cannot set."""

    def __setattr__(cls, name: str, value: Any) -> None:
        pass


class StandIn(metaclass=FixedAttributes):
    """Stands for an object of a class that a file names, of which only the name is kept."""

    stands_for = "an object"

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        """Accept any arguments."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> StandIn:
        """Return another stand-in."""
        return StandIn()

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, one: Any) -> None:
        """Ignore it."""

    def extend(self, many: Any) -> None:
        """Ignore them."""

    def add(self, one: Any) -> None:
        """Ignore it."""


def original_name(one: Any) -> str:
    """Return the name of what a stand-in stands for."""
    return str(getattr(type(one), "stands_for", type(one).__qualname__))


def stand_in_pickle() -> types.ModuleType:
    """Return a module for the argument `pickle_module` of ``torch.load``, for a single file.

    Examples
    --------
    >>> import io, pickle
    >>> from pathlib import PurePosixPath
    >>> found = stand_in_pickle().load(io.BytesIO(pickle.dumps({"x": 1, "out": PurePosixPath("a")})))
    >>> found["x"], original_name(found["out"])
    (1, 'pathlib.PurePosixPath')
    """
    allowed = _allowed_names()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            """Return an object that the file may use, or a stand-in for it."""
            whole = f"{module}.{name}"
            found = allowed.get(whole)
            return FixedAttributes("StandIn", (StandIn,), {"stands_for": whole}) if found is None else found

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, _storages_only(value) if name == "persistent_load" else value)

    def load(file: IO[bytes], **settings: Any) -> Any:
        return Unpickler(file, **settings).load()

    made: Any = types.ModuleType("stand_ins")
    made.Unpickler, made.load = Unpickler, load
    return made  # type: ignore[no-any-return]


def _storages_only(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that loads what a file refers to if it is a storage, and not the source of a module."""

    def found(reference: Any) -> Any:
        if not isinstance(reference, tuple) or len(reference) < 2 or reference[0] not in ("storage", b"storage"):
            return StandIn  # old files refer to the class of a module, so this is a class
        kind, *rest = reference[1:]
        return load((reference[0], torch.UntypedStorage if isinstance(kind, UntypedBytes) else kind, *rest))

    return found


class UntypedBytes:
    """Stands for torch.UntypedStorage, which a file can only name."""

    __slots__ = ()


def _allowed_names() -> dict[str, Any]:
    """Return what builds tensors, by name: new functions each time, since a file can set their attributes."""
    build, build_typed = torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v3

    def dense(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Any:
        return build(storage, offset, size, stride)  # type: ignore[no-untyped-call]

    def typed(storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *___: Any) -> Any:
        # Without gradients and backward hooks.
        return build_typed(storage, offset, size, stride, False, {}, dtype)  # type: ignore[no-untyped-call]

    def parameter(data: Any, *_: Any) -> Any:
        return data

    functions: dict[str, Any] = {
        "torch._utils._rebuild_tensor": dense,
        "torch._utils._rebuild_tensor_v2": dense,
        "torch._utils._rebuild_tensor_v3": typed,
        "torch._utils._rebuild_parameter": parameter,
        "torch._utils._rebuild_parameter_with_state": parameter,
        "collections.OrderedDict": lambda *of: OrderedDict(*of),
        "torch.storage.UntypedStorage": UntypedBytes(),
        "torch.Size": lambda *of: torch.Size(*of),
    }
    dtypes = {f"torch.{name}": one for name, one in vars(torch).items() if isinstance(one, torch.dtype)}
    return functions | dtypes
