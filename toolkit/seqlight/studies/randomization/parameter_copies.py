"""Copies in place of the parameters of a model, for as long as they are changed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn


@contextlib.contextmanager
def parameter_copies(model: nn.Module) -> Iterator[None]:
    """Let a model compute with copies of its parameters; restore the original ones, also after an error.

    The memory of the original parameters is never written to. A parameter that two modules share stays shared, and one
    that is replaced meanwhile is put back.

    Parameters
    ----------
    model : torch.nn.Module
        Already borrowed: see :func:`seqlight.prediction.borrowed_model.borrow.borrow`.
    """
    held = [(module, dict(module._parameters)) for module in model.modules() if module._parameters]
    own = {id(one): one for _, parameters in held for one in parameters.values() if one is not None}
    data = [(parameter, parameter.data) for parameter in own.values()]
    try:
        for parameter, original in data:
            if not parameter.is_inference():
                parameter.data = original.clone()
        _replace_inference_parameters(held)
        for module in model.modules():
            if isinstance(module, nn.RNNBase):
                # cuDNN wants the copies in one piece, too.
                module.flatten_parameters()
        yield
    finally:
        for parameter, original in data:
            if not parameter.is_inference():
                parameter.data = original
        for module, parameters in held:
            _restore_parameters(module, parameters)


def _replace_inference_parameters(held: Sequence[tuple[nn.Module, dict[str, nn.Parameter | None]]]) -> None:
    """Replace parameters made in inference mode, whose data cannot be changed outside of it."""
    copies: dict[int, nn.Parameter] = {}
    for module, parameters in held:
        for name, parameter in parameters.items():
            if parameter is not None and parameter.is_inference():
                if id(parameter) not in copies:
                    copies[id(parameter)] = nn.Parameter(parameter.detach().clone(), requires_grad=False)
                setattr(module, name, copies[id(parameter)])


def _restore_parameters(module: nn.Module, parameters: dict[str, nn.Parameter | None]) -> None:
    """Put back parameters that were replaced, and remove those that were added."""
    for name in [name for name in module._parameters if name not in parameters]:
        delattr(module, name)
    for name, parameter in parameters.items():
        if module._parameters.get(name) is not parameter or name not in module._parameters:
            # With setattr, since recurrent modules keep a list of their parameters, too.
            setattr(module, name, parameter)


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed the global generators that initialisations draw from; those of other devices stay as they are."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        module: Any = torch.get_device_module(device)
        # Devices without numbers, such as MPS, have no context in which one of them is current.
        with module.device(device) if hasattr(module, "device") else contextlib.nullcontext():
            module.manual_seed(seed)
