"""Which part of a LightningModule is explained, what it is called with, and which of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from seqlight.errors import InputError, a
from seqlight.lit.lightning_packages import lightning_classes


def explained(
    pl_module: L.LightningModule,
    module: str | None = None,
    head: str | int | None = None,
    inputs: Callable[[Tensor], Any] | None = None,
) -> nn.Module:
    """Return what is explained.

    Parameters
    ----------
    pl_module : lightning.pytorch.LightningModule
        Itself, if it has a forward and no part of it is asked for.
    module : str, optional
        The name of a submodule.
    head : str or int, optional
        Which of its outputs.
    inputs : callable, optional
        Makes of one-hot sequences what it is called with.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        If there is no such submodule, or a LightningModule without a forward is to be called.
    """
    if module is None and type(pl_module).forward in [
        vars(kind)["forward"] for kind in lightning_classes("LightningModule")
    ]:
        raise InputError(
            f"{type(pl_module).__name__} has no forward to explain: write one, or pass as `module` the name of "
            f"the submodule that is the model (it has {_parts(pl_module)})."
        )
    model = pl_module if module is None else _submodule(pl_module, module)
    fed = model if inputs is None else Adapter(model, inputs)
    return fed if head is None else Head(fed, head)


class Adapter(nn.Module):
    """A model that takes something else than one-hot sequences, as one that takes them.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*made)`` with a tuple, and as ``model(made)`` with anything else.
    inputs : callable
        Makes it of sequences of shape (rows, letters, positions), row by row and with operations that have a gradient.

    Attributes
    ----------
    made : str
        What it made last, in words.

    Examples
    --------
    >>> import torch
    >>> model = Adapter(torch.nn.Linear(4, 2), lambda X: X.transpose(1, 2))
    >>> model(torch.zeros(3, 4, 10)).shape, model.made
    (torch.Size([3, 10, 2]), '(3, 10, 4)')
    """

    def __init__(self, model: nn.Module, inputs: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.model, self.inputs, self.made = model, inputs, ""

    def forward(self, X: Tensor) -> Any:
        """Return what the model returns for sequences of shape (rows, letters, positions)."""
        made = self.inputs(X)
        self.made = shapes(made)
        if X.requires_grad and torch.is_grad_enabled() and not differentiable(made):
            raise InputError(
                "inputs makes something without a gradient of the sequences, such as integers: use operations that "
                "have one, or method='ism'."
            )
        return self.model(*made) if isinstance(made, tuple) else self.model(made)


def shapes(made: Any) -> str:
    """Return the shapes of what a model is called with, in words.

    Examples
    --------
    >>> import torch
    >>> shapes((torch.zeros(2, 4), {"control": torch.zeros(2, 1)}, 3))
    "(2, 4), {'control': (2, 1)} and an int"
    """
    if isinstance(made, Tensor):
        return str(tuple(made.shape))
    if isinstance(made, Mapping):
        return "{" + ", ".join(f"{key!r}: {shapes(one)}" for key, one in made.items()) + "}"
    if isinstance(made, tuple | list) and made:
        parts = [shapes(one) for one in made]
        return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return a(made)


def differentiable(made: Any) -> bool:
    """Return whether anything in what a model is called with has a gradient."""
    if isinstance(made, Tensor):
        return made.requires_grad
    if isinstance(made, Mapping):
        return any(map(differentiable, made.values()))
    return isinstance(made, tuple | list) and any(map(differentiable, made))


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
    except (AttributeError, TypeError):
        raise InputError(
            f"module is {name!r}, and {type(pl_module).__name__} has no such submodule: it has {_parts(pl_module)}."
        ) from None


def _parts(pl_module: L.LightningModule) -> str:
    return ", ".join(repr(name) for name, _ in pl_module.named_children()) or "none"
