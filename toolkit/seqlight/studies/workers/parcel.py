"""Send a model to another process, also one whose class is defined in a script, a notebook or a test."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

import cloudpickle

from seqlight.errors import InputError


def to_bytes(thing: Any, name: str) -> bytes:
    """Pickle an object; classes and functions whose module another process would not find are sent with their code.

    Parameters
    ----------
    thing : any
    name : str
        What it is, for the error message.

    Raises
    ------
    InputError
        If it cannot be pickled.
    """
    # Only modules that a fresh process would not find under their names.
    lost = [module for module in _modules_of(thing) if not _is_found(module)]
    with _sent_with_code(lost):
        try:
            return bytes(cloudpickle.dumps(thing))
        except Exception as error:
            raise InputError(
                f"{name} cannot be sent to another process ({type(error).__name__}: {str(error).splitlines()[0]}): "
                "expected an object that can be pickled; remove open files, locks and the like from its attributes."
            ) from error


def _modules_of(thing: Any) -> list[ModuleType]:
    """Return the Python modules in which the classes of a model, or the functions of an implementation, are defined."""
    parts = list(thing.modules()) if callable(getattr(thing, "modules", None)) else []
    classes = [cls for part in [thing, *parts] for cls in type(part).__mro__]
    functions = [one for one in vars(thing).values() if callable(one)] if hasattr(thing, "__dict__") else []
    names = {getattr(one, "__module__", None) for one in [*classes, *functions]}
    return [sys.modules[name] for name in sorted(filter(None, names)) if name in sys.modules and name != "__main__"]


def _is_found(module: ModuleType) -> bool:
    file: str | None = getattr(module, "__file__", None)
    if file is None:  # built in, or a namespace
        return True
    root, _, rest = module.__name__.partition(".")
    spec = PathFinder.find_spec(root)
    if spec is None:
        return False
    if not rest:
        return spec.origin == file
    return any(file.startswith(folder) for folder in spec.submodule_search_locations or ())


@contextlib.contextmanager
def _sent_with_code(modules: list[ModuleType]) -> Iterator[None]:
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
