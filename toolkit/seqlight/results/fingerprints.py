"""Fingerprints that tell one run from another: of a model, of its data, and of the arguments of a method."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Subset, TensorDataset, default_collate

from seqlight.errors import InputError
from seqlight.results.identity.arrays import digest_of, digest_of_array
from seqlight.results.identity.description import Description
from seqlight.results.identity.origins import Origin, name_of, origin_of
from seqlight.targets.contrast import Contrast
from seqlight.targets.named_target import NamedTarget

# Fingerprints of another version are not compared. Version 1 did not include globals and attributes.
VERSION = 2
# How many rows are read of a Dataset that has no fingerprint of its own.
SOME_ROWS = 64

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
# Types of which only the numbers count.
ARRAYS = (Tensor, nn.Parameter, np.ndarray)


def fingerprint_data(data: Any, rows: int, collate: Any = default_collate) -> str:
    """Return a text that identifies the rows of `data`.

    That is its own ``fingerprint()`` if it has one, or else a digest of its arrays. Of any other Dataset it is a digest
    of 64 evenly spaced rows, the first and the last among them, and of the code that makes a row: a change that shows
    in none of these goes unnoticed. Of a Subset of data that have a fingerprint or are arrays, it is the fingerprint of
    the whole and which rows of it there are. A `collate` other than the default is included.
    """
    if collate is not default_collate:
        return f"{fingerprint_data(data, rows)}, put together by {Description(strict=False).describe(collate)}"
    if callable(getattr(data, "fingerprint", None)):
        return str(data.fingerprint())
    if isinstance(data, Tensor | np.ndarray):
        return digest_of_array(data)
    if isinstance(data, tuple | list):
        return " ".join(digest_of_array(one) for one in data)
    if type(data) is TensorDataset:
        return fingerprint_data(data.tensors, rows)
    if type(data) is Subset and _has_identity(data.dataset):
        whole: Any = data.dataset
        return f"{fingerprint_data(whole, len(whole))}, of which {digest_of_array(np.asarray(data.indices))}"
    some = sorted({int(row) for row in np.linspace(0, rows - 1, min(rows, SOME_ROWS))}) if rows else []
    code = [_of_code(getattr(type(data), name, None)) for name in ("__getitem__", "__getitems__")]
    found = digest_of([Description(strict=False).describe(data[row]) for row in some], code)
    return f"{type(data).__qualname__} of {rows} rows, {found} of {len(some)} of them"


def fingerprint_model(model: nn.Module, identity: str | None = None) -> dict[str, Any]:
    """Return what identifies a model: its class, and digests of its structure and of what it computes.

    The latter covers parameters and buffers, the code of classes that are not PyTorch's, and the attributes and hooks
    of its modules. Whether it is compiled, in training mode, or on another device makes no difference.

    Parameters
    ----------
    model : torch.nn.Module
    identity : str, optional
        A name to use in place of code, attributes and hooks.

    Raises
    ------
    InputError
        If one of its attributes or hooks cannot be described, and there is no `identity`.
    """
    known = {"fingerprint": VERSION} | ({} if identity is None else {"identity": identity})
    return known | Description("the model").describe_model(model, deep=identity is None)


def describe_argument(value: Any, name: str = "an argument", identity: str | None = None) -> Any:
    """Return a description of an argument for JSON, with enough detail to tell it from any other.

    Parameters
    ----------
    value : any
        The user's own functions, classes and objects become their name and a digest of what they compute.
    name : str
        The name of the argument, for error messages.
    identity : str, optional
        A name to use in place of these digests.

    Raises
    ------
    InputError
        If something cannot be described, and there is no `identity`.

    Examples
    --------
    >>> import torch
    >>> describe_argument({"target": (0, 2), "dtype": torch.float64})
    {'target': [0, 2], 'dtype': 'torch.float64'}
    """
    if isinstance(value, nn.Module):
        return fingerprint_model(value, identity)
    if origin_of(type(value).__module__) is Origin.OWN:  # maybe a subclass of int, str, list or dict that does more
        return _named(value, name, identity)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.integer | np.floating):
        return value.item()
    if isinstance(value, Tensor | np.ndarray):
        return (
            digest_of_array(value)
            if type(value) in ARRAYS and value.dtype != object
            else Description(name).describe(value)
        )
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, NamedTarget) and origin_of(type(value).__module__) is Origin.KNOWN:
        return str(value)
    if isinstance(value, Contrast):
        return {"a": describe_argument(value.a, name, identity), "b": describe_argument(value.b, name, identity)}
    if isinstance(value, Mapping):
        keys = {key: _key(key, name, identity) for key in value}
        return {keys[key]: describe_argument(one, f"{name} of {keys[key]}", identity) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [describe_argument(one, name, identity) for one in value]
    if isinstance(value, functools.partial):
        return [describe_argument(one, name, identity) for one in (value.func, value.args, value.keywords)]
    return _named(value, name, identity)


def require_identity(identity: object) -> str | None:
    """Return `identity`, the name for what is computed; InputError unless it is None or some text."""
    if identity is not None and not (isinstance(identity, str) and identity.strip()):
        raise InputError(
            f"identity is {identity!r}: expected a name for what is computed, such as 'my target, version 2'."
        )
    return identity


def _named(value: Any, name: str, identity: str | None) -> str:
    """Return a value's name and, unless there is an `identity`, a digest of what it computes."""
    called = name_of(value)
    return called if identity is not None else f"{called} {Description(name).describe(value)}"


def _key(key: Any, name: str, identity: str | None) -> str:
    if type(key) is str:
        return key
    if isinstance(key, type | FunctionType):
        own = origin_of(key.__module__) is Origin.OWN
        return _named(key, f"a key of {name}", identity) if own else name_of(key)
    # 1 is another key than "1".
    return f"{type(key).__name__} {ADDRESS.sub('', repr(key))}"


def _has_identity(data: Any) -> bool:
    """Return whether data can be identified by more than some of their rows."""
    if type(data) is Subset:
        return _has_identity(data.dataset)
    return callable(getattr(data, "fingerprint", None)) or isinstance(data, Tensor | np.ndarray | TensorDataset)


def _of_code(of: Any) -> str:
    """Return a description of the user's own class or function; of a library's only the name."""
    own = of is not None and origin_of(getattr(of, "__module__", None)) is Origin.OWN
    return Description(strict=False).describe(of) if own else name_of(of)


__all__ = [
    "VERSION",
    "describe_argument",
    "digest_of_array",
    "fingerprint_data",
    "fingerprint_model",
    "require_identity",
]
