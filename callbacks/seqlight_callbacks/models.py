"""Which part of a LightningModule is explained, and which of its outputs."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from torch import Tensor, nn

from seqlight.errors import InputError, a
from seqlight.lit.packages import kinds


def explained(pl_module: L.LightningModule, module: str | None = None, head: str | int | None = None) -> nn.Module:
    """Return what is explained.

    Parameters
    ----------
    pl_module : lightning.pytorch.LightningModule
        Itself, if it has a forward and no part of it is asked for.
    module : str, optional
        The name of a submodule.
    head : str or int, optional
        Which of its outputs.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        If there is no such submodule, or a LightningModule without a forward is to be called.
    """
    if module is None and type(pl_module).forward in [vars(kind)["forward"] for kind in kinds("LightningModule")]:
        raise InputError(
            f"{type(pl_module).__name__} has no forward to explain: write one, or pass as `module` the name of "
            f"the submodule that is the model (it has {_parts(pl_module)})."
        )
    model = pl_module if module is None else _submodule(pl_module, module)
    return model if head is None else Head(model, head)


class Head(nn.Module):
    """A model, of whose several outputs one is looked at.

    Parameters
    ----------
    model : torch.nn.Module
        Which returns a dict, a tuple, a list or something with attributes.
    head : str or int
        The key, place or attribute.
    """

    def __init__(self, model: nn.Module, head: str | int) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, X: Tensor) -> Any:
        """Return that output for inputs of shape (rows, letters, positions)."""
        outputs = self.model(X)
        if isinstance(self.head, str) and not isinstance(outputs, dict) and hasattr(outputs, self.head):
            return getattr(outputs, self.head)
        try:
            if isinstance(outputs, Tensor):
                raise TypeError
            return outputs[self.head]
        except (KeyError, IndexError, TypeError):
            raise InputError(f"the model has no head {self.head!r}: it returns {_described(outputs)}.") from None


def _described(outputs: Any) -> str:
    if isinstance(outputs, dict):
        return f"a dict with the keys {', '.join(map(repr, outputs))}"
    if isinstance(outputs, tuple | list):
        return f"{a(outputs)} of {len(outputs)}"
    return f"{a(outputs)}, which has no heads"


def _submodule(pl_module: L.LightningModule, name: str) -> nn.Module:
    try:
        return pl_module.get_submodule(name)
    except AttributeError:
        raise InputError(
            f"module is {name!r}, and {type(pl_module).__name__} has no such submodule: it has {_parts(pl_module)}."
        ) from None


def _parts(pl_module: L.LightningModule) -> str:
    return ", ".join(repr(name) for name, _ in pl_module.named_children()) or "none"
