"""A pickle module that runs nothing of the files it reads: whatever they name beside tensors is a stand-in.

``torch.load(..., weights_only=True)`` refuses a whole checkpoint for one setting that is no number, such as a Namespace
or a path. Here such a thing is read as an object of a class that is made on the spot, takes whatever it is given, and
does nothing. Found by name are only the functions that tensors are put together with, and each file gets its own.
"""

from __future__ import annotations

import pickle
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import torch


class FixedAttributes(type):
    """A class whose attributes stay, whatever a file says of them."""

    def __setattr__(cls, name: str, value: Any) -> None:
        pass


class StandIn(metaclass=FixedAttributes):
    """An object of a class that a file names, with nothing of it but the name."""

    stands_for = "an object"

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        """Take any arguments."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> StandIn:
        """Return another one."""
        return StandIn()

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, one: Any) -> None:
        """Leave it."""

    def extend(self, many: Any) -> None:
        """Leave them."""

    def add(self, one: Any) -> None:
        """Leave it."""


def original_name(one: Any) -> str:
    """Return the name of what a stand-in stands for."""
    return str(getattr(type(one), "stands_for", type(one).__qualname__))


def stand_in_pickle() -> types.ModuleType:
    """Return a module for the argument `pickle_module` of ``torch.load``, for one file.

    Examples
    --------
    >>> import io, pickle
    >>> from pathlib import PurePosixPath
    >>> found = stand_in_pickle().load(io.BytesIO(pickle.dumps({"x": 1, "out": PurePosixPath("a")})))
    >>> found["x"], original_name(found["out"])
    (1, 'pathlib.PurePosixPath')
    """
    known = _known()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            """Return what the file may use, or a stand-in for it."""
            whole = f"{module}.{name}"
            found = known.get(whole)
            return FixedAttributes("StandIn", (StandIn,), {"stands_for": whole}) if found is None else found

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, _storages_alone(value) if name == "persistent_load" else value)

    def load(file: IO[bytes], **settings: Any) -> Any:
        return Unpickler(file, **settings).load()

    made: Any = types.ModuleType("stand_ins")
    made.Unpickler, made.load = Unpickler, load
    return made  # type: ignore[no-any-return]


def _storages_alone(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what finds what a file refers to: the storages of tensors, and not the sources of modules."""

    def found(reference: Any) -> Any:
        if not isinstance(reference, tuple) or len(reference) < 2 or reference[0] not in ("storage", b"storage"):
            return StandIn  # a class, which a module of old files is
        kind, *rest = reference[1:]
        return load((reference[0], torch.UntypedStorage if isinstance(kind, Bytes) else kind, *rest))

    return found


class Bytes:
    """The storage of bytes, of which a file has the name alone."""

    __slots__ = ()


def _known() -> dict[str, Any]:
    """Return what tensors are put together with: new functions each time, for a file can set their attributes."""
    build, build_typed = torch._utils._rebuild_tensor, torch._utils._rebuild_tensor_v3

    def dense(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Any:
        return build(storage, offset, size, stride)  # type: ignore[no-untyped-call]

    def typed(storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *___: Any) -> Any:
        # Without gradients and hooks.
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
        "torch.storage.UntypedStorage": Bytes(),
        "torch.Size": lambda *of: torch.Size(*of),
    }
    dtypes = {f"torch.{name}": one for name, one in vars(torch).items() if isinstance(one, torch.dtype)}
    return functions | dtypes
