"""What an object holds, in lines: the names, shapes and types of its arrays, and not their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def array_lines(title: str, arrays: Mapping[str, Any]) -> str:
    """Return a line with the title and one for each array, tensor or table.

    Examples
    --------
    >>> import numpy as np
    >>> print(array_lines("Found", {"values": np.zeros((2, 3)), "n": 2}))
    Found
      values: (2, 3) float64
      n: 2
    """
    return "\n".join([title, *(f"  {name}: {_kind(one)}" for name, one in arrays.items())])


def _kind(one: Any) -> str:
    if hasattr(one, "columns"):
        return f"a table of {len(one)} rows: {', '.join(map(str, one.columns))}"
    if hasattr(one, "shape") and hasattr(one, "dtype"):
        return f"{tuple(one.shape)} {str(one.dtype).removeprefix('torch.')}"
    if isinstance(one, Mapping):
        return f"{{{', '.join(f'{key!r}: {_kind(value)}' for key, value in one.items())}}}"
    if isinstance(one, tuple | list):
        return f"({', '.join(map(_kind, one))})"
    return repr(one)
