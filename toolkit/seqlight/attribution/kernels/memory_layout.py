"""How the elements of a tensor lie in memory."""

from __future__ import annotations

from collections.abc import Sequence


def fills(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether a tensor has each element of one piece of memory once, in whatever order of dimensions.

    Examples
    --------
    >>> fills((2, 3), (3, 1)), fills((2, 3), (1, 2)), fills((2, 3), (1, 1)), fills((2, 3), (6, 2))
    (True, True, False, False)
    """
    room = 1
    for stride, size in sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size != 1):
        if stride != room:
            return False
        room *= size
    return True
