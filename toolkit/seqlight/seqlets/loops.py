"""The compiled loops of the recursive caller, and what they take."""

from __future__ import annotations

import ctypes
from typing import Any

from seqlight.native.library import library

_AT, _LONG = ctypes.c_void_p, ctypes.c_int64
_ROWS = (_AT, _LONG, _LONG, _LONG, _AT, _AT, _AT)
# The result and the arguments of each loop, as spans.c declares them.
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "span_counts": (None, _AT, _LONG, _LONG, _AT, _AT),
    "span_tails": (None, _AT, _LONG, _LONG, _AT, _AT),
    "span_calls": (_LONG, *_ROWS, _LONG, _LONG, _AT, _AT),
    "span_call_counts": (_LONG, *_ROWS, _LONG, _LONG, _LONG, _AT),
}


class Binning(ctypes.Structure):
    """How values become bins, as the loops take it."""

    _fields_ = (
        ("origin", ctypes.c_double),
        ("width", ctypes.c_double),
        ("itemsize", ctypes.c_int64),
        ("sign", ctypes.c_int64),
        ("n_bins", ctypes.c_int64),
    )


def span_loops() -> ctypes.CDLL | None:
    """Return the compiled loops, ready to take numbers and addresses; None where they were not built."""
    native = library()
    if native is not None:
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(native, name)
            function.restype, function.argtypes = result, arguments
    return native
