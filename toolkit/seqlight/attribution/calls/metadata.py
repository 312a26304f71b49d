"""What is asked of a tensor most often and returns none, such as its shape: no mode needs to look at that."""

from __future__ import annotations

from typing import Any

from torch import Tensor

_ATTRIBUTES = "shape dtype device layout ndim requires_grad is_leaf is_cpu is_cuda is_sparse itemsize nbytes".split()
_METHODS = "dim ndimension size numel nelement stride element_size is_contiguous is_floating_point is_complex".split()
METADATA = frozenset[Any](
    [getattr(Tensor, name).__get__ for name in _ATTRIBUTES] + [getattr(Tensor, name) for name in _METHODS]
)
