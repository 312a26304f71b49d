"""How values become bins, as the compiled loops take it."""

from __future__ import annotations

import ctypes


class Binning(ctypes.Structure):
    """The fields of ``binning`` in recursive_seqlets.c."""

    _fields_ = (
        ("origin", ctypes.c_double),
        ("width", ctypes.c_double),
        ("itemsize", ctypes.c_int64),
        ("sign", ctypes.c_int64),
        ("n_bins", ctypes.c_int64),
        ("highest", ctypes.c_int64),
        ("own", ctypes.c_int64),
    )
