"""Parts of a target that are constant: references have them as their sequence had them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary


def hold(x: Tensor) -> Tensor:
    """Return `x` without a gradient; where sequences are compared with references, that of the sequence for both."""
    # One operation to the modes of an explanation, which have a rule for it.
    if has_torch_function_unary(x):
        found: Any = handle_torch_function(hold, (x,), x)
        return found  # type: ignore[no-any-return]
    return x.detach()
