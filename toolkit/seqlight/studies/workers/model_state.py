"""What a call left changed on the model and in its process."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from seqlight.results.identity.arrays import digest_of_array

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class ModelState:
    """The state of a model and of its process before a call, to compare with that after it.

    Parameters
    ----------
    model : torch.nn.Module

    Examples
    --------
    >>> model = nn.Dropout()
    >>> before = ModelState(model)
    >>> _ = model.eval()
    >>> before.changes(model)
    ['train/eval modes']
    """

    def __init__(self, model: nn.Module) -> None:
        self._before = _facts(model)

    def changes(self, model: nn.Module) -> list[str]:
        """Return, in words, what is not as it was before."""
        after = _facts(model)
        return [name for name, fact in self._before.items() if after[name] != fact]


def _facts(model: nn.Module) -> dict[str, Any]:
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    parameters = dict(model.named_parameters())
    return {
        "weights": {name: digest_of_array(one.detach()) for name, one in tensors.items()},
        "gradients": {name: None if one.grad is None else id(one.grad) for name, one in parameters.items()},
        "requires_grad": {name: one.requires_grad for name, one in tensors.items()},
        "hooks": _hooks(model),
        "train/eval modes": {name: one.training for name, one in model.named_modules()},
        "modules": {name: id(one) for name, one in model.named_modules()},
        "attributes": {name: sorted(vars(one)) for name, one in model.named_modules()},
        "dtype or device": {name: (str(one.dtype), str(one.device)) for name, one in tensors.items()},
        "random state": (
            digest_of_array(torch.get_rng_state()),
            [str(part) for part in np.random.get_state()],
            random.getstate(),
        ),
        **_process_facts(),
    }


def _process_facts() -> dict[str, Any]:
    return {
        "gradient mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "torch functions": len(_get_current_function_mode_stack()),  # type: ignore[no-untyped-call]
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "number of threads": torch.get_num_threads(),
        "working directory": os.getcwd(),
    }


# What changes later cells, too, unless the process is another one.
OF_PROCESS = frozenset(_process_facts())


def _hooks(model: nn.Module) -> dict[str, list[list[int]]]:
    return {name: [sorted(getattr(one, kind, {})) for kind in HOOKS] for name, one in model.named_modules()}
