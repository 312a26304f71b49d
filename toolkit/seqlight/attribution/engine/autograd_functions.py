"""Let a mode see the calls of a user's own autograd functions, which PyTorch does not pass to it.

The forward of such a function runs without gradients, and its backward may be anything. Shown as one operation, it
is integrated like any other that has no rule, with its own backward as the Jacobian. That must explain the output
difference: the backward of a straight-through estimator, or of a gradient reversal, does not.
"""

from __future__ import annotations

import contextlib
from typing import Any

from torch import Tensor, overrides
from torch.autograd.function import _SingleLevelFunction

from seqlight.attribution.engine.patches import Patch


def _apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    tensors = tuple(one for one in args if isinstance(one, Tensor))
    # Imported as a module: a global named has_torch_function would mark this as a function of PyTorch (see open_body).
    if not overrides.has_torch_function(tensors):
        return super(_SingleLevelFunction, cls).apply(*args, **kwargs)

    def announce(*args: Any, **kwargs: Any) -> Any:
        return _apply(cls, *args, **kwargs)  # there may be a second mode

    announce.__name__ = cls.__name__
    return overrides.handle_torch_function(announce, tensors, *args, **kwargs)


# Function.apply calls the apply of its base class here, so bound copies of it are covered too.
_APPLY = Patch(_SingleLevelFunction, {"apply": classmethod(_apply)})


def announce_functions() -> contextlib.AbstractContextManager[None]:
    """Inside, each ``apply`` is passed to the mode of its thread, even if it was bound before."""
    return _APPLY.apply()
