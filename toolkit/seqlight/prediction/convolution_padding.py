"""Settings of a convolution as PyTorch takes them: a number, one for each dimension, or a word for its padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple


class Sides(NamedTuple):
    """How many positions are added before the first and after the last of a dimension."""

    before: int
    after: int


def of_each_dimension(setting: Any, n: int) -> tuple[Any, ...]:
    """Return a setting of a convolution over `n` dimensions, of which one may stand for all.

    Examples
    --------
    >>> of_each_dimension(3, 2), of_each_dimension([4], 2), of_each_dimension((1, 2), 2)
    ((3, 3), (4, 4), (1, 2))
    """
    given = tuple(setting) if isinstance(setting, tuple | list) else (setting,)
    return given * n if len(given) == 1 else given


def whole_numbers(setting: Any, n: int) -> list[int] | None:
    """Return the whole numbers of a setting over `n` dimensions; None if it has anything else, or another number.

    Examples
    --------
    >>> whole_numbers(3, 2), whole_numbers((4,), 2), whole_numbers((1, 2, 3), 2)
    ([3, 3], [4, 4], None)
    """
    found = of_each_dimension(setting, n)
    return list(found) if len(found) == n and all(type(one) is int for one in found) else None


def padded_sides(padding: Any, sizes: Sequence[int], dilation: Sequence[int]) -> tuple[Sides, ...] | None:
    """Return what is added to each dimension; None for a word that PyTorch does not know.

    Parameters
    ----------
    padding : int, sequence of int, or str
        As a convolution takes it. "same" adds what a kernel reaches beyond its first position, and one more after the
        last than before the first if that is odd.
    sizes, dilation : sequence of int
        Of the kernel in each dimension.

    Examples
    --------
    >>> padded_sides("same", (4, 3), (1, 2))
    (Sides(before=1, after=2), Sides(before=2, after=2))
    >>> padded_sides("valid", (4,), (1,)), padded_sides(2, (4,), (1,)), padded_sides("equal", (4,), (1,))
    ((Sides(before=0, after=0),), (Sides(before=2, after=2),), None)
    """
    return _sides(tuple(padding) if isinstance(padding, list) else padding, tuple(sizes), tuple(dilation))


@lru_cache(maxsize=4096, typed=True)
def _sides(padding: Any, sizes: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Sides, ...] | None:
    if padding == "same":
        reaches = [step * (size - 1) for size, step in zip(sizes, dilation, strict=True)]
        return tuple(Sides(reach // 2, reach - reach // 2) for reach in reaches)
    if isinstance(padding, str) and padding != "valid":
        return None
    return tuple(Sides(one, one) for one in of_each_dimension(0 if padding == "valid" else padding, len(sizes)))


def even_padding(padding: Any, sizes: Sequence[int], dilation: Sequence[int]) -> list[int] | None:
    """Return what is added to both sides of each dimension; None where these differ, or for an unknown word.

    Examples
    --------
    >>> even_padding("same", (3, 5), (1, 2)), even_padding("same", (3, 4), (1, 1))
    ([1, 4], None)
    """
    sides = padded_sides(padding, sizes, dilation)
    return None if sides is None or any(before != after for before, after in sides) else [one.before for one in sides]
