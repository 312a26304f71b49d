"""Arguments with a row for each row of a data set: targets and references of those rows that a batch has."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.targets.contrast import Contrast


def target_of_rows(target: Any, ids: NDArray[np.int64] | None) -> Any:
    """Return the target of some rows."""
    if isinstance(target, list):
        return [target_of_rows(one, ids) for one in target]
    if isinstance(target, Contrast):
        return Contrast(target_of_rows(target.a, ids), target_of_rows(target.b, ids))
    return select_rows(target, ids, "target")


def require_rows(one: Any, rows: int, name: str) -> None:
    """Raise InputError if a tensor or an array does not have as many rows as the data set."""
    if isinstance(one, list):
        for each in one:
            require_rows(each, rows, name)
    elif isinstance(one, Contrast):
        require_rows([one.a, one.b], rows, name)
    elif isinstance(one, Tensor | np.ndarray) and one.ndim and len(one) != rows:
        raise InputError(f"{name} has {len(one)} rows and the data set {rows}: expected a row for each.")


def select_rows(one: Any, ids: NDArray[np.int64] | None, name: str) -> Any:
    """Return the rows `ids` of a tensor with a row for each row of the data set, and anything else unchanged."""
    if not isinstance(one, Tensor | np.ndarray) or not one.ndim:
        return one
    if ids is None:
        raise InputError(f"{name} has a row for each row of the data set, and a batch does not say which rows it has: "
                         "use seqlight.lit.ShardedDataModule.")  # fmt: skip
    return one[torch.from_numpy(ids)] if isinstance(one, Tensor) else one[ids]
