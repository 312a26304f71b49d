"""The tensors that a model returns, as arrays with the names that files have for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.prediction.host_copies import HostCopy
from seqlight.results.shards import Arrays


def named_arrays(outputs: Any) -> Arrays:
    """Return the tensors of an output as arrays, by name.

    A single tensor is named "predictions"; those of a dict by its keys, of a named tuple by its fields, of a tuple or
    list by number; nested names are joined by a dot. NumPy has no bfloat16, so that becomes float32.

    Examples
    --------
    >>> import torch
    >>> list(named_arrays(torch.zeros(2))), list(named_arrays((torch.zeros(2), {"a": torch.zeros(2)})))
    (['predictions'], ['predictions.0', 'predictions.1.a'])
    >>> list(named_arrays({"profile": torch.zeros(2), "counts": torch.zeros(2)}))
    ['profile', 'counts']
    """
    named = _named_tensors(outputs, "")
    arrived = zip(named, HostCopy(list(named.values())).wait(), strict=True)
    return {key: (one.float() if one.dtype == torch.bfloat16 else one).numpy() for key, one in arrived}


def _named_tensors(outputs: Any, name: str) -> dict[str, Tensor]:
    """Return the tensors of an output by name."""
    if outputs is None:
        return {}
    if isinstance(outputs, Tensor):
        return {name or "predictions": outputs}
    if isinstance(outputs, Mapping):
        parts = [(f"{name}.{key}" if name else str(key), one) for key, one in outputs.items()]
    elif isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        parts = [(f"{name}.{key}" if name else key, getattr(outputs, key)) for key in outputs._fields]
    elif isinstance(outputs, tuple | list):
        parts = [(f"{name or 'predictions'}.{i}", one) for i, one in enumerate(outputs)]
    else:
        raise InputError(
            f"the model's output holds {kind_of(outputs)}: expected tensors in tuples, lists or dicts; use `func` to "
            "choose."
        )
    return {key: one for part, inner in parts for key, one in _named_tensors(inner, part).items()}
