"""What no gradient goes through; and what a target holds constant, which references have as their sequence had it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, ObserveFunction
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot


class Constant:
    """What rules have in common whose results are constants in autograd's graph."""

    backward: ClassVar[type[torch.autograd.Function]] = ObserveFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep the result."""
        y: Tensor = call(*(one.detach() for one in call.tensors))
        return y, [Snapshot.take(y, True)]


@dataclass(frozen=True)
class Hold(Constant):
    """The rule of ``targets.constant_parts.hold``: references get what their sequence had; only the rest differs."""

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Return what was kept, for each reference of a sequence."""
        return repeat_like(kept[0].get(), call.tensors[0].detach())
