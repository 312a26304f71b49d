"""The plain attributes of a module, as they were at one time."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# What every module has is given back by other means, or not changed by a forward.
PLAIN = frozenset((*vars(nn.Module()), "_compiled_call_impl"))


class Attributes:
    """What hangs on a module beside parameters, buffers, modules and hooks, with what is in its plain containers.

    Parameters
    ----------
    module : torch.nn.Module
        Of a scripted one there is nothing to be kept.

    Examples
    --------
    >>> module = nn.Identity()
    >>> module.cache = {}
    >>> before = Attributes(module)
    >>> module.cache["position"], module.last = 1, 2
    >>> before.restore()
    >>> module.cache, hasattr(module, "last")
    ({}, False)
    """

    __slots__ = ("_contents", "_module", "_values")

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._values = _plain(module)
        self._contents = [(one, one.copy()) for one in self._values.values() if type(one) in (dict, list, set)]

    def restore(self) -> None:
        """Put back what is another one, take away what is new, and fill containers as they were."""
        hung = vars(self._module)
        for name in _plain(self._module).keys() - self._values.keys():
            del hung[name]
        hung.update(self._values)
        for container, content in self._contents:
            container.clear()
            getattr(container, "extend" if type(container) is list else "update")(content)


def _plain(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, torch.jit.ScriptModule):
        return {}
    return {name: one for name, one in vars(module).items() if name not in PLAIN}
