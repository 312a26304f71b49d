"""Comparisons of what depends on the input: nothing goes back through them, and they may come out otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.pairing import repeated
from seqlight.attribution.calls.recording import Call, Observed, Recorded, Stepped

NAMES = (
    *("gt lt ge le eq ne greater less greater_equal less_equal not_equal".split()),
    *("__gt__ __lt__ __ge__ __le__ __eq__ __ne__".split()),
)


@dataclass(frozen=True)
class Compare:
    """A comparison of which more is made than a mask of what it compares."""

    backward: ClassVar[type[torch.autograd.Function]] = Observed

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep how it comes out."""
        y: Tensor = call(*(one.detach() for one in call.tensors))
        return y, [Recorded.of(y, True)]

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Return how it comes out; raise Stepped if that is otherwise than for the sequence."""
        y: Tensor = call(*(one.detach() for one in call.tensors))
        if bool((repeated(kept[0].get(), y) != y).any()):
            raise Stepped
        return y
