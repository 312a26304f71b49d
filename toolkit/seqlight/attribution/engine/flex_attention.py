"""Refuse flex_attention, which compiles a kernel whose operations no mode sees."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any

from torch.overrides import has_torch_function

from seqlight.attribution.engine.patches import Patch
from seqlight.errors import UnsupportedOperation


def _validate_device(query: Any, key: Any, value: Any) -> Any:
    if has_torch_function((query, key, value)):
        raise UnsupportedOperation(
            "flex_attention compiles a kernel whose operations cannot be seen: "
            "use torch.nn.functional.scaled_dot_product_attention with attn_mask, or write the scores out."
        )
    return _flexible().original("_validate_device")(query, key, value)


@cache
def _flexible() -> Patch:
    # Loaded with the first model that is explained.
    from torch.nn.attention import flex_attention

    # flex_attention looks this up at each call, so it does not matter who imported flex_attention before.
    return Patch(flex_attention, {"_validate_device": _validate_device})


def refuse_flex_attention() -> contextlib.AbstractContextManager[None]:
    """Inside, in threads that have a mode, raise UnsupportedOperation for ``flex_attention``."""
    return _flexible().apply()
