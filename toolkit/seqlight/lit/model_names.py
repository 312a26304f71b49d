"""Find the class of a model by its name: in a package, in a file, or among those that installed packages offer."""

from __future__ import annotations

import hashlib
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from torch import nn

from seqlight.errors import InputError
from seqlight.files.paths import existing_file

#: The entry-point group in which a package names its models: classes of torch.nn.Module, or functions that return one.
GROUP = "seqlight.models"
EXPECTED = "'package.module.Class' or 'path/to/file.py:Class'"


def find_model(name: str) -> Any:
    """Return what a name stands for, usually a class.

    Parameters
    ----------
    name : str
        ``"package.module.Class"``; ``"path/to/file.py:Class"``, where the file may import others of its folder; or a
        name without a dot, by which an installed package offers a model in the entry-point group ``seqlight.models``.

    Raises
    ------
    InputError
        If nothing has that name, or importing it fails.

    Examples
    --------
    >>> find_model("torch.nn.Linear").__name__
    'Linear'
    """
    file, colon, last = name.rpartition(":")
    if colon and file.endswith(".py"):
        return _from_file(name, file, last)
    offered = None if "." in name else offered_model(name)
    return _from_package(name) if offered is None else _from_entry_point(name, offered)


def offered_model(name: str) -> EntryPoint | None:
    """Return the entry point by which an installed package offers a model of this name; None if none does."""
    return next(iter(entry_points(group=GROUP, name=name)), None)


def _from_package(name: str) -> Any:
    module, _, last = name.rpartition(".")
    if last == "py":
        raise InputError(f"model is {name!r}, a file of Python: expected one of its classes, as in {name}:Class.")
    if not module:
        raise InputError(f"model is {name!r}, which is not found by a name without a module: expected {_expected()}.")
    try:
        return getattr(import_module(module), last)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"model is {name!r}, which is not found ({error}): expected {_expected()}.") from None
    except Exception as error:
        raise _failed(name, module, error) from error


def _from_entry_point(name: str, offered: EntryPoint) -> Any:
    try:
        return offered.load()
    except Exception as error:
        raise _failed(name, offered.value, error) from error


def _from_file(name: str, file: str, last: str) -> Any:
    path = existing_file(file, "a file of Python with the class of the model", "model").resolve()
    module = sys.modules.get(path.stem)
    if module is None or not _is_of_file(module, path):
        # A file may be called like a module that is there already, such as model.py in another folder.
        known_as = path.stem if module is None else f"{path.stem}_{hashlib.blake2b(str(path).encode()).hexdigest()[:8]}"
        module = sys.modules.get(known_as) or _execute(name, path, known_as)
    try:
        return getattr(module, last)
    except AttributeError:
        classes = [one for one, found in vars(module).items() if _is_model(found, module)]
        known = f", such as {' or '.join(classes[:3])}" if classes else ""
        raise InputError(
            f"model is {name!r}, and {path.name} has no {last!r}: expected a class in it{known}."
        ) from None


def _is_model(found: Any, module: Any) -> bool:
    """Return whether something in a module is a class of a model that it defines itself."""
    return isinstance(found, type) and issubclass(found, nn.Module) and found.__module__ == module.__name__


def _is_of_file(module: Any, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path


def _execute(name: str, path: Path, known_as: str) -> Any:
    """Return the module of a file, known by a name, by which copies in other processes find its classes."""
    spec = spec_from_file_location(known_as, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[known_as] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[known_as]
        raise _failed(name, path.name, error) from error
    return module


def _failed(name: str, module: str, error: Exception) -> InputError:
    return InputError(
        f"model is {name!r}, and importing {module} fails ({type(error).__name__}: {error}): fix that first."
    )


def _expected() -> str:
    offered = sorted({one.name for one in entry_points(group=GROUP)})
    return EXPECTED + (f", or one that is installed: {', '.join(offered)}" if offered else "")
