"""Modules that call the model of a user with other inputs, or return a part of its output."""

from __future__ import annotations

from torch import nn


class ModelWrapper(nn.Module):
    """A module around the model of a user, of whose modules alone is reported, by the names that they have in it.

    Parameters
    ----------
    model : torch.nn.Module
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


def unwrap_model(model: nn.Module) -> nn.Module:
    """Return the model of the user, inside of all wrappers.

    Examples
    --------
    >>> unwrap_model(ModelWrapper(ModelWrapper(nn.ReLU())))
    ReLU()
    """
    while isinstance(model, ModelWrapper):
        model = model.model
    return model
