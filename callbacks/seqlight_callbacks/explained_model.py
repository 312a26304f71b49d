"""The model inside a LightningModule that is explained: which submodule, with which inputs, and which output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from seqlight.errors import InputError, kind_of, listed
from seqlight.lit.lightning_packages import lightning_classes
from seqlight.prediction.model_wrapper import ModelWrapper
from seqlight.targets.heads import select_head


def select_model(
    pl_module: L.LightningModule,
    module: str | None = None,
    head: str | int | None = None,
    inputs: Callable[[Tensor], Any] | None = None,
) -> nn.Module:
    """Return a model that takes one-hot sequences and returns a single output tensor.

    Parameters
    ----------
    pl_module : lightning.pytorch.LightningModule
        Explained itself, if `module` is None and it has a forward.
    module : str, optional
        The name of the submodule to explain.
    head : str or int, optional
        Which output, if there are several.
    inputs : callable, optional
        Turns one-hot sequences into the inputs of the model.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        If there is no such submodule, or the LightningModule itself is asked for and has no forward.
    """
    if module is None and type(pl_module).forward in [
        vars(kind)["forward"] for kind in lightning_classes("LightningModule")
    ]:
        raise InputError(
            f"{type(pl_module).__name__} has no forward to explain: write one, or pass as `module` the name of "
            f"the submodule that is the model (it has {_child_names(pl_module)})."
        )
    model = pl_module if module is None else _submodule(pl_module, module)
    adapted = model if inputs is None else InputAdapter(model, inputs)
    return adapted if head is None else HeadSelector(adapted, head)


class InputAdapter(ModelWrapper):
    """A model that does not take one-hot sequences, wrapped as one that does.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*converted)`` if the converted inputs are a tuple, and as ``model(converted)`` otherwise.
    inputs : callable
        Converts sequences of shape (rows, letters, positions), row by row and with differentiable operations.

    Attributes
    ----------
    last_shapes : str
        The shapes of the last converted inputs, in words; empty before the first.

    Examples
    --------
    >>> import torch
    >>> model = InputAdapter(torch.nn.Linear(4, 2), lambda X: X.transpose(1, 2))
    >>> model(torch.zeros(3, 4, 10)).shape, model.last_shapes
    (torch.Size([3, 10, 2]), '(3, 10, 4)')
    """

    def __init__(self, model: nn.Module, inputs: Callable[[Tensor], Any]) -> None:
        super().__init__(model)
        self.inputs, self.last_shapes = inputs, ""

    def forward(self, X: Tensor) -> Any:
        """Return what the model returns for sequences of shape (rows, letters, positions)."""
        converted = self.inputs(X)
        self.last_shapes = describe_shapes(converted)
        if X.requires_grad and torch.is_grad_enabled() and not requires_gradient(converted):
            raise InputError(
                "inputs returns something without a gradient with respect to the sequences, such as integers: use "
                "differentiable operations, or method='ism'."
            )
        return self.model(*converted) if isinstance(converted, tuple) else self.model(converted)


def describe_shapes(inputs: Any) -> str:
    """Return the shapes of the inputs of a model, in words.

    Examples
    --------
    >>> import torch
    >>> describe_shapes((torch.zeros(2, 4), {"control": torch.zeros(2, 1)}, 3))
    "(2, 4), {'control': (2, 1)} and an int"
    """
    if isinstance(inputs, Tensor):
        return str(tuple(inputs.shape))
    if isinstance(inputs, Mapping):
        return "{" + ", ".join(f"{key!r}: {describe_shapes(one)}" for key, one in inputs.items()) + "}"
    if isinstance(inputs, tuple | list) and inputs:
        return listed([describe_shapes(one) for one in inputs])
    return kind_of(inputs)


def requires_gradient(inputs: Any) -> bool:
    """Return whether any tensor among the inputs of a model requires a gradient."""
    if isinstance(inputs, Tensor):
        return inputs.requires_grad
    if isinstance(inputs, Mapping):
        return any(map(requires_gradient, inputs.values()))
    return isinstance(inputs, tuple | list) and any(map(requires_gradient, inputs))


class HeadSelector(ModelWrapper):
    """A model with several outputs, wrapped as one that returns a single one of them.

    Parameters
    ----------
    model : torch.nn.Module
        Returns a dict, a tuple, a list or an object with attributes.
    head : str or int
        The key, index or attribute of the output.
    """

    def __init__(self, model: nn.Module, head: str | int) -> None:
        super().__init__(model)
        self.head = head

    def forward(self, X: Tensor) -> Tensor:
        """Return that output for inputs of shape (rows, letters, positions)."""
        return select_head(self.model(X), self.head)


def _submodule(pl_module: L.LightningModule, name: str) -> nn.Module:
    try:
        return pl_module.get_submodule(name)
    except (AttributeError, TypeError):
        raise InputError(
            f"module is {name!r}, and {type(pl_module).__name__} has no such submodule: it has "
            f"{_child_names(pl_module)}."
        ) from None


def _child_names(pl_module: L.LightningModule) -> str:
    return ", ".join(repr(name) for name, _ in pl_module.named_children()) or "none"
