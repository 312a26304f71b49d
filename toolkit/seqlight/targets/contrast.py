"""What a target may be; and a contrast, the difference of two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Contrast:
    """The difference of two targets, to explain what distinguishes them.

    Parameters
    ----------
    a, b : int, tuple of int, torch.Tensor, numpy.ndarray, callable or str
        Single targets, as in :func:`seqlight.attribute`; what is explained is `a` minus `b`.

    Examples
    --------
    >>> import seqlight as sl
    >>> sl.Contrast(0, 1)
    Contrast(a=0, b=1)
    """

    a: SingleTarget
    b: SingleTarget


Index: TypeAlias = int | np.integer[Any]
# Contrast first and Callable before Tensor: a parser of YAML takes what returns a tensor for a factory of it.
SingleTarget: TypeAlias = (
    Contrast | Index | tuple[Index, ...] | Callable[[Any], Tensor] | Tensor | NDArray[np.integer[Any]] | str
)
Target: TypeAlias = SingleTarget | list[SingleTarget]
