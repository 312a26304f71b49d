"""A snapshot of the plain attributes of a module, to restore them later."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# What every module has: restored by other means, or left unchanged by a forward.
EVERY_MODULE = frozenset((*vars(nn.Module()), "_compiled_call_impl"))


class AttributeSnapshot:
    """Attributes of a module besides parameters, buffers, submodules and hooks, with the contents of containers.

    Parameters
    ----------
    module : torch.nn.Module
        Of a scripted module nothing is stored.

    Examples
    --------
    >>> module = nn.Identity()
    >>> module.cache = {}
    >>> before = AttributeSnapshot(module)
    >>> module.cache["position"], module.last = 1, 2
    >>> before.restore()
    >>> module.cache, hasattr(module, "last")
    ({}, False)
    """

    __slots__ = ("_contents", "_module", "_values")

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._values = _own_attributes(module)
        self._contents = [(one, one.copy()) for one in self._values.values() if type(one) in (dict, list, set)]

    def restore(self) -> None:
        """Set replaced attributes back, delete new ones, and refill dicts, lists and sets with what they held."""
        current = vars(self._module)
        for name in _own_attributes(self._module).keys() - self._values.keys():
            del current[name]
        current.update(self._values)
        for container, content in self._contents:
            container.clear()
            getattr(container, "extend" if type(container) is list else "update")(content)


def _own_attributes(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, torch.jit.ScriptModule):
        return {}
    return {name: value for name, value in vars(module).items() if name not in EVERY_MODULE}
