"""The table of seqlets that every caller returns, and the attribution track that every caller reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from seqlight.errors import InputError, kind_of
from seqlight.native.threads import over_rows

Floats = NDArray[np.floating[Any]]

MOST_ROWS_NAMED = 5


def seqlet_table(
    example_idx: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    attribution: NDArray[np.float64],
    p_value: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Return the table of seqlets, in the form of every caller; arrays of the right type are not copied.

    Parameters
    ----------
    example_idx, start, end : numpy.ndarray, shape=(n,)
        The example of each seqlet, and its positions ``start <= position < end``.
    attribution : numpy.ndarray, shape=(n,)
        The summed attribution of each seqlet.
    p_value : numpy.ndarray, shape=(n,), optional
        Adds the column ``p-value``.

    Returns
    -------
    pandas.DataFrame, shape=(n, 4) or (n, 5)
        Columns ``example_idx``, ``start``, ``end`` (int64), ``attribution`` and ``p-value`` (float64), with the same
        types in an empty table.

    Examples
    --------
    >>> import numpy as np
    >>> table = seqlet_table(np.array([0]), np.array([3]), np.array([8]), np.array([0.5]))
    >>> list(table.columns)
    ['example_idx', 'start', 'end', 'attribution']
    """
    columns: dict[str, NDArray[Any]] = {
        "example_idx": np.asarray(example_idx, dtype=np.int64),
        "start": np.asarray(start, dtype=np.int64),
        "end": np.asarray(end, dtype=np.int64),
        "attribution": np.asarray(attribution, dtype=np.float64),
    }
    if p_value is not None:
        columns["p-value"] = np.asarray(p_value, dtype=np.float64)
    return pd.DataFrame(columns, copy=False)


def attribution_track(X: torch.Tensor | NDArray[Any], name: str = "X") -> Floats:
    """Return checked attributions of the observed characters as a plain array.

    Parameters
    ----------
    X : torch.Tensor or numpy.ndarray, shape=(n, length)
        Real numbers of any type, on any device; gradients are dropped.
    name : str, optional
        Their name in error messages.

    Returns
    -------
    numpy.ndarray, shape=(n, length)
        C-contiguous, float32 or float64. Values are rounded only if float64 cannot hold them, and copied only if
        they have another type or are not C-contiguous.

    Raises
    ------
    InputError
        If `X` is not an array of real numbers, does not have two dimensions, or holds NaN or infinity.

    Examples
    --------
    >>> import torch
    >>> attribution_track(torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True)).dtype
    dtype('float32')
    """
    track = _as_floats(X, name)
    if track.ndim != 2:
        advice = (
            f"sum over the alphabet axis first: `{name}.sum(dim=1)`"
            if track.ndim == 3
            else "give it one row an example"
        )
        raise InputError(
            f"`{name}` has shape {track.shape}, but seqlets are found in an array of shape "
            f"(examples, length): {advice}."
        )
    _require_finite(track, name)
    return track


def _as_floats(X: torch.Tensor | NDArray[Any], name: str) -> Floats:
    if isinstance(X, torch.Tensor):
        _require_dense(X, name)
        kinds = "c" if X.is_complex() else "b" if X.dtype == torch.bool else "f"
        if X.is_floating_point() and X.element_size() < 4:
            X = X.detach().to(torch.float32)
        array: NDArray[Any] = X.numpy(force=True) if kinds == "f" else np.empty(0)
    elif isinstance(X, np.ndarray):
        if np.ma.is_masked(X):
            raise InputError(f"`{name}` is a masked array with masked entries: fill them, `{name}.filled(0)`.")
        array, kinds = np.asarray(X), X.dtype.kind
    else:
        raise InputError(f"`{name}` is {kind_of(X)}: expected a tensor or a NumPy array; {_remedy(X, name)}.")
    if kinds not in "fiu":
        raise InputError(
            f"`{name}` has dtype {X.dtype}, but attributions are real numbers: convert it to a float type."
        )
    # Half precision fits into single, and whole numbers of up to 53 bits into double, without rounding.
    narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return np.ascontiguousarray(array, dtype=np.float32 if narrow else np.float64)


def _require_dense(X: torch.Tensor, name: str) -> None:
    problem = (
        f"is nested: pass `torch.nested.to_padded_tensor({name}, 0)`"
        if X.is_nested
        else "is on the meta device, where tensors hold no values: make one that does"
        if X.is_meta
        else f"is of layout {X.layout}: pass `{name}.to_dense()`"
        if X.layout != torch.strided
        else f"is quantized: pass `{name}.dequantize()`"
        if X.is_quantized
        else ""
    )
    if problem:
        raise InputError(f"`{name}` {problem}.")


def _remedy(X: object, name: str) -> str:
    if hasattr(X, "attributions"):
        return f"pass `{name}.attributions.sum(dim=1)`"
    if hasattr(X, "blocks"):
        return f"read its rows, `{name}[:]`" + ", and sum over letters, `.sum(axis=1)`" * (getattr(X, "ndim", 0) == 3)
    return f"pass `{name}.to_numpy()`" if hasattr(X, "to_numpy") else "convert it"


def minimum_and_maximum(track: Floats) -> tuple[Any, Any]:
    """Return the smallest and the largest of at least one value, in their own type; NaN if any value is NaN."""
    parts: list[NDArray[Any]] = []
    over_rows(
        lambda first, last: parts.extend((track[first:last].min(), track[first:last].max())), len(track), track.size
    )
    return np.min(parts), np.max(parts)


def _require_finite(track: Floats, name: str) -> None:
    # NaN and infinity show in the minimum or maximum, so no mask as large as the input is needed.
    if not track.size or np.isfinite(minimum_and_maximum(track)).all():
        return
    rows = [row for row in range(len(track)) if not np.isfinite(track[row]).all()]
    named = ", ".join(map(str, rows[:MOST_ROWS_NAMED])) + (", ..." if len(rows) > MOST_ROWS_NAMED else "")
    raise InputError(
        f"`{name}` holds NaN or infinity in {len(rows)} of {len(track)} rows ({named}), but attributions "
        "must be finite: drop or repair those rows."
    )
