"""What tells one run from another: digests of weights, of data, and of whatever else a method was given."""

from __future__ import annotations

import functools
import hashlib
import re
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Subset

from seqlight.attribution.targets import Contrast

# Up to here all of an array is read; of a larger one, as many rows as make this up, evenly spaced.
MOST_BYTES = 1 << 31
# How many rows of a Dataset that has no fingerprint of its own are looked at: each has to be made.
SOME_ROWS = 64

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


def of_array(array: Tensor | NDArray[Any]) -> str:
    """Return a digest of the dtype, shape and content of an array.

    Of more than 2 GiB it is evenly spaced rows, the first and the last among them, and the digest says so.

    Examples
    --------
    >>> import torch
    >>> of_array(torch.zeros(2)) == of_array(torch.zeros(2)), of_array(torch.zeros(2)) == of_array(torch.ones(2))
    (True, False)
    """
    shape = tuple(array.shape)
    digest = hashlib.blake2b(f"{str(array.dtype).removeprefix('torch.')} {shape}".encode(), digest_size=16)
    if not shape:
        digest.update(_bytes(array))
        return digest.hexdigest()
    bytes_of_row = array.nbytes // max(1, len(array))
    rows = min(len(array), max(2, MOST_BYTES // max(1, bytes_of_row)))
    step = max(1, (1 << 24) // max(1, bytes_of_row))
    if rows == len(array):
        for first in range(0, rows, step):
            digest.update(_bytes(array[first : first + step]))
        return digest.hexdigest()
    for row in np.linspace(0, len(array) - 1, rows).astype(np.int64):
        digest.update(_bytes(array[int(row)]))
    return f"{digest.hexdigest()} of {rows} of {len(array)} rows"


def of_data(data: Any, rows: int) -> str:
    """Return what identifies the rows of `data`.

    Its own ``fingerprint()`` if it has one. Otherwise the digest of its arrays, or of 64 evenly spaced rows of a
    Dataset, the first and the last among them: a change that none of them shows goes unseen. Of a Subset of what has a
    fingerprint or is an array, it is what identifies the whole, and which rows of it there are.
    """
    if callable(getattr(data, "fingerprint", None)):
        return str(data.fingerprint())
    if isinstance(data, Tensor | np.ndarray):
        return of_array(data)
    if isinstance(data, tuple | list):
        return " ".join(of_array(one) for one in data)
    if type(data) is Subset and _knows_itself(data.dataset):
        whole: Any = data.dataset
        return f"{of_data(whole, len(whole))}, of which {of_array(np.asarray(data.indices))}"
    some = sorted({int(row) for row in np.linspace(0, rows - 1, min(rows, SOME_ROWS))}) if rows else []
    found = _digest([described(data[row]) for row in some])
    return f"{type(data).__qualname__} of {rows} rows, {found} of {len(some)} of them"


def _knows_itself(data: Any) -> bool:
    """Return whether there is more to tell a data set by than some of its rows."""
    if type(data) is Subset:
        return _knows_itself(data.dataset)
    return callable(getattr(data, "fingerprint", None)) or isinstance(data, Tensor | np.ndarray)


def of_model(model: nn.Module) -> dict[str, str]:
    """Return the class of a model, and digests of how it is built and of its parameters and buffers.

    Whether it is compiled makes no difference.
    """
    model = getattr(model, "_orig_mod", model)
    weights = {name.replace("_orig_mod.", ""): one for name, one in model.state_dict().items()}
    return {
        "class": _name(type(model)),
        "structure": _digest(ADDRESS.sub("", repr(model))),
        "weights": _digest({name: described(one) for name, one in weights.items()}),
    }


def described(value: Any) -> Any:
    """Return what JSON can hold of an argument, enough to tell it from another one.

    Examples
    --------
    >>> import torch
    >>> described({"target": (0, 2), "dtype": torch.float64})
    {'target': [0, 2], 'dtype': 'torch.float64'}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.integer | np.floating):
        return value.item()
    if isinstance(value, Tensor | np.ndarray):
        return of_array(value)
    if isinstance(value, nn.Module):
        return of_model(value)
    if isinstance(value, Contrast):
        return {"a": described(value.a), "b": described(value.b)}
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _name(key): described(one) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [described(one) for one in value]
    if isinstance(value, functools.partial):
        return [described(value.func), described(value.args), described(value.keywords)]
    if isinstance(value, types.FunctionType | types.MethodType):
        return f"{_name(value)} {_digest(_code(value))}"
    return _name(value) if isinstance(value, type) else ADDRESS.sub("", repr(value))


def _code(function: types.FunctionType | types.MethodType) -> list[Any]:
    """Return what a function does: two lambdas have the same name."""
    code, cells = function.__code__, function.__closure__ or ()
    constants = [repr(one) for one in code.co_consts if not isinstance(one, types.CodeType)]
    inner = [one.co_code.hex() for one in code.co_consts if isinstance(one, types.CodeType)]
    kept = [described(cell.cell_contents) for cell in cells if cell.cell_contents is not function]
    return [code.co_code.hex(), list(code.co_names), constants, inner, kept, described(function.__defaults__)]


def _name(one: Any) -> str:
    module, name = getattr(one, "__module__", None), getattr(one, "__qualname__", type(one).__qualname__)
    # What a script defines is in a module of another name in processes that it starts.
    return name if module in (None, "__main__", "__mp_main__") else f"{module}.{name}"


def _digest(of: Any) -> str:
    return hashlib.blake2b(repr(of).encode(), digest_size=16).hexdigest()


def _bytes(array: Tensor | NDArray[Any]) -> Any:
    if isinstance(array, Tensor):
        flat = array.detach().to("cpu").contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
