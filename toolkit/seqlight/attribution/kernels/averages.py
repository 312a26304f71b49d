"""The mean over dimensions, whose gradient is one number for all that was averaged, and takes no memory.

PyTorch's own is written to memory for each of them: at the end of many networks these are all positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# What a sum takes as well.
ARGUMENTS = frozenset({"dim", "axis", "keepdim"})


def mean(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return ``torch.mean`` of the same arguments, bit by bit, and with its gradient.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]], requires_grad=True)
    >>> y = mean(x, 1)
    >>> y.detach(), torch.autograd.grad(y.sum(), x)[0].stride()
    (tensor([3., 1.]), (1, 0))
    """
    if not (kwargs.keys() <= ARGUMENTS and input.dtype in (torch.float32, torch.float64) and input.numel()):
        return torch.mean(input, *args, **kwargs)
    total = torch.sum(input, *args, **kwargs)
    return total / (input.numel() // total.numel())
