"""Flexible attention compiles a kernel in which no mode sees an operation: it is refused by name."""

from __future__ import annotations

import contextlib
from typing import Any

from torch.nn.attention import flex_attention
from torch.overrides import has_torch_function

from seqlight.attribution.engine.patches import Patch
from seqlight.errors import UnsupportedOperation


def _validate_device(query: Any, key: Any, value: Any) -> Any:
    if has_torch_function((query, key, value)):
        raise UnsupportedOperation(
            "flex_attention compiles a kernel whose operations cannot be seen: "
            "use torch.nn.functional.scaled_dot_product_attention with attn_mask, or write the scores out"
        )
    return _FLEXIBLE.original("_validate_device")(query, key, value)


# Looked up whenever flex_attention is called, whoever has imported that before.
_FLEXIBLE = Patch(flex_attention, {"_validate_device": _validate_device})


def refuse_flex_attention() -> contextlib.AbstractContextManager[None]:
    """Refuse ``flex_attention`` inside, in threads that have a mode."""
    return _FLEXIBLE.apply()
