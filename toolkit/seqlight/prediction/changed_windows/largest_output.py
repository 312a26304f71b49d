"""The largest tensor that functions return while a model runs, as far as each has a row for each input."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class LargestOutput(TorchFunctionMode):
    """A context that notes the numbers of a row of the largest tensor; tensors of windows do not count.

    Parameters
    ----------
    rows : int
        The number of rows that the model takes.

    Examples
    --------
    >>> import torch
    >>> with LargestOutput(2) as largest:
    ...     _ = torch.ones(2, 3).relu().repeat(1, 4).sum(1)
    >>> largest.numbers
    12
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows, self.numbers = rows, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if type(one) is Tensor and one.ndim and len(one) == self.rows:
                self.numbers = max(self.numbers, one.numel() // self.rows)
        return found
