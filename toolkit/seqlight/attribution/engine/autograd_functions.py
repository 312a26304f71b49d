"""Let a mode see the calls of a user's own autograd functions, of which PyTorch does not tell it.

The forward of such a function runs without gradients, and its backward may be anything. Seen as one operation, it
is integrated like any other that has no rule, with its own backward as the Jacobian, which must explain the output
difference: that of a straight-through estimator, or of a reversed gradient, does not.
"""

from __future__ import annotations

import contextlib
from typing import Any

from torch import Tensor, overrides
from torch.autograd.function import _SingleLevelFunction

from seqlight.attribution.engine.patches import Patch


def _apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    tensors = tuple(one for one in args if isinstance(one, Tensor))
    # By its module's name, so that this is not taken for a function of PyTorch's with a body to look into.
    if not overrides.has_torch_function(tensors):
        return super(_SingleLevelFunction, cls).apply(*args, **kwargs)

    def announced(*args: Any, **kwargs: Any) -> Any:
        return _apply(cls, *args, **kwargs)  # there may be a mode behind the first

    announced.__name__ = cls.__name__
    return overrides.handle_torch_function(announced, tensors, *args, **kwargs)


# Function.apply hands over to the next class that has one: a place of which nobody holds a copy.
_ANNOUNCED = Patch(_SingleLevelFunction, {"apply": classmethod(_apply)})


def announce_functions() -> contextlib.AbstractContextManager[None]:
    """Inside, each ``apply`` announces itself to the mode of its thread, also where it was bound before."""
    return _ANNOUNCED.apply()
