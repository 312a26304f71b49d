"""Checks of what is to be drawn, which return it as plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from operator import index
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqlight.errors import InputError, kind_of
from seqlight.sequence.checks import holds_attributions

Floats = NDArray[np.float64]


def as_float_array(given: Any, name: str) -> Floats:
    """Return anything array-like as a float64 array on the CPU, detached from any graph.

    Raises
    ------
    InputError
        If it does not hold real numbers, or its rows differ in length.
    """
    kind = getattr(given, "dtype", None)
    if given is None or kind in (torch.complex64, torch.complex128) or getattr(kind, "kind", "") == "c":
        raise InputError(f"`{name}` is {kind_of(given)}{f' of {kind}' if kind else ''}, but real numbers are drawn.")
    if isinstance(given, torch.Tensor):
        if given.is_meta or given.is_nested or given.is_quantized or given.layout != torch.strided:
            raise InputError(f"`{name}` is no dense tensor that holds its values: convert it to one first.")
        given = given.detach().to(torch.float64).numpy(force=True)
    if holds_attributions(given):
        raise InputError(f"`{name}` is {kind_of(given)}: pass those of one example, `{name}.attributions[0]`.")
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`{name}` is of type {type(given).__name__} and does not hold numbers in rows of one length "
            f"({error}): pass a tensor or an array."
        ) from error


def logo_values(given: Any, alphabet: Sequence[str], name: str = "X_attr") -> Floats:
    """Return the values of one logo.

    Parameters
    ----------
    given : torch.Tensor or array-like, shape (letters, positions)
        One value for each letter and position.
    alphabet : sequence of str
        One character for each row.
    name : str
        The name of the argument, for error messages.

    Raises
    ------
    InputError
        If the shape is wrong, or a value is not finite.
    """
    require_letters(alphabet)
    values = as_float_array(given, name)
    if values.ndim != 2 or len(values) != len(alphabet):
        raise InputError(
            f"`{name}` has shape {values.shape}, but a logo needs ({len(alphabet)}, length), one row for each "
            f"letter: {_shape_advice(values, len(alphabet), name)}."
        )
    if not values.shape[1]:
        raise InputError(f"`{name}` has no positions, but a logo needs at least one: check how it was cut out.")
    if not np.isfinite(values).all():
        n_bad = int((~np.isfinite(values)).any(axis=0).sum())
        raise InputError(
            f"`{name}` holds NaN or infinity at {n_bad} positions, which have no height: repair the values."
        )
    return values


def _shape_advice(values: Floats, n_letters: int, name: str) -> str:
    if values.ndim == 3:
        return f"pick one example, `{name}[0]`"
    if values.ndim == 1:
        return "sums over letters have no letters: pass the values before the sum, or multiply by the one-hot sequence"
    if values.ndim == 2 and values.shape[1] == n_letters:
        return f"pass its transpose, `{name}.T`"
    return "check the alphabet and the axes"


def require_letters(alphabet: Sequence[str]) -> None:
    """Raise InputError unless every entry of the alphabet is a single character."""
    if not isinstance(alphabet, Iterable):
        raise InputError(f"`alphabet` is {alphabet!r}, but one letter for each row is needed, such as 'ACGT'.")
    wrong = [letter for letter in alphabet if not isinstance(letter, str) or len(letter) != 1]
    if wrong:
        raise InputError(f"`alphabet` holds {wrong[0]!r}, but each letter must be a single character.")


def window_bounds(start: int | None, end: int | None, length: int) -> tuple[int, int]:
    """Return `start` and `end` as integers, by default those of the whole sequence.

    Raises
    ------
    InputError
        If they are not whole numbers, or do not satisfy ``0 <= start < end <= length``.
    """
    try:
        first, last = (index(0 if start is None else start), index(length if end is None else end))
    except TypeError as error:
        raise InputError(f"`start` is {start!r} and `end` {end!r}, but positions are whole numbers.") from error
    if not 0 <= first < last <= length:
        raise InputError(
            f"`start` is {first} and `end` {last}, but 0 <= start < end <= {length}, the length, must hold: "
            "choose positions of `X_attr`."
        )
    return first, last


def y_limits(heights: Floats, ylim: float | tuple[float, float] | None, margin: float = 0.04) -> tuple[float, float]:
    """Return the limits of the y axis: `ylim`, or limits that fit all letters with a small margin.

    Parameters
    ----------
    heights : numpy.ndarray, shape (..., letters, positions)
        The heights of the letters.
    ylim : float or tuple of float, optional
        A single number `y` means ``(-y, y)``.
    margin : float
        The margin, as a fraction of the range of the letters.
    """
    if ylim is not None:
        return _given_limits(ylim)
    low = float(heights.clip(max=0).sum(axis=-2).min())
    high = float(heights.clip(min=0).sum(axis=-2).max())
    room = margin * (high - low)
    if not room:
        return -1.0, 1.0
    return (low - room if low else 0.0), (high + room if high else 0.0)


def _given_limits(ylim: Any) -> tuple[float, float]:
    try:
        low, high = map(float, (-ylim, ylim) if np.ndim(ylim) == 0 else ylim)
    except (TypeError, ValueError) as error:
        raise InputError(f"`ylim` is {ylim!r}, but one number or two, (lower, upper), are needed.") from error
    if not low < high:
        raise InputError(f"`ylim` is {ylim!r}, but the lower limit must be below the upper one.")
    return low, high


def figure_size(figsize: Any, default: tuple[float, float]) -> tuple[float, float]:
    """Return the width and height of a figure in inches; raise InputError unless both are positive numbers."""
    if figsize is None:
        return default
    try:
        width, height = map(float, figsize)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (width > 0 and height > 0):
        raise InputError(f"`figsize` is {figsize!r}, but width and height in inches are needed, such as (10, 3).")
    return width, height


def require_number(given: Any, name: str, least: float, most: float = float("inf")) -> float:
    """Return a number as a float; raise InputError unless it lies between the two limits."""
    if isinstance(given, bool) or not isinstance(given, Real) or not least <= float(given) <= most:
        limits = f"at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise InputError(f"`{name}` is {given!r}, but a number of {limits} is needed.")
    return float(given)
