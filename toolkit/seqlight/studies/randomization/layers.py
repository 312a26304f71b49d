"""The layers of a model, from its output on, and how one is re-initialised."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

RESET, PERMUTED = "reset_parameters", "permuted"


class Layer(NamedTuple):
    """A module with parameters of its own.

    Attributes
    ----------
    name : str
        Its name in the model.
    module : torch.nn.Module
    """

    name: str
    module: nn.Module


def find_layers(model: nn.Module, first_pass: Callable[[], object]) -> list[Layer]:
    """Return the layers of a model in the order in which they are last called, the one nearest to the output first.

    A layer is a module that has parameters itself, or a normalisation that has only running statistics. One that is not
    called itself, such as the output projection of ``torch.nn.MultiheadAttention``, stands next to the layer that is
    defined before it; a container with parameters of its own stands where it is entered, below what it contains.

    Parameters
    ----------
    model : torch.nn.Module
    first_pass : callable
        Calls the model once, on any input.
    """
    layers = [Layer(name or "the model itself", module) for name, module in model.named_modules() if _is_layer(module)]
    calls = _record_calls([layer.module for layer in layers], first_pass)
    place, places = -1, list[tuple[int, int]]()
    for i, layer in enumerate(layers):
        place = calls.get(id(layer.module), place)
        places.append((place, i))
    return [layers[i] for _, i in sorted(places, reverse=True)]


def reset_layer(module: nn.Module) -> str:
    """Re-initialise a module in place, without its submodules, and return how.

    Its own ``reset_parameters`` is called, which for a batch normalisation also resets the running statistics. A
    parameter that this leaves as it was, or of a module that has no such method, gets its numbers in random order, so
    that their distribution stays. Random numbers are drawn from the global generators.

    Returns
    -------
    str
        "reset_parameters", "permuted", or both.
    """
    before = {name: one.detach().clone() for name, one in _own_parameters(module).items()}
    how = []
    with torch.no_grad():
        reset: Any = getattr(module, "reset_parameters", None)
        if callable(reset):
            # One that wants arguments, or that no longer works, is as good as none.
            with contextlib.suppress(Exception):
                reset()
                how.append(RESET)
        same = [one for name, one in _own_parameters(module).items() if name in before and _equal(one, before[name])]
        permuted = [_permute(one) for one in same]
    if not how or any(permuted):
        how.append(PERMUTED)
    return " and ".join(how)


def _is_layer(module: nn.Module) -> bool:
    has_statistics = bool(module._buffers) and callable(getattr(module, "reset_parameters", None))
    return bool(_own_parameters(module)) or has_statistics


def _own_parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: one for name, one in module._parameters.items() if one is not None}


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b))


def _permute(parameter: Tensor) -> bool:
    """Put the numbers of a parameter in random order, in place; return whether that changes it."""
    flat = parameter.detach().flatten()
    mixed = flat[torch.randperm(len(flat)).to(flat.device)]
    changed = not _equal(mixed, flat)
    parameter.copy_(mixed.view_as(parameter))
    return changed


def _record_calls(modules: list[nn.Module], first_pass: Callable[[], object]) -> dict[int, int]:
    """Return by id when each module is last called, as a number of calls before it."""
    calls: dict[int, int] = {}
    n_calls = 0

    def note(module: nn.Module, inputs: Any) -> None:
        nonlocal n_calls
        calls[id(module)] = n_calls
        n_calls += 1

    with contextlib.ExitStack() as hooks:
        for module in modules:
            if not isinstance(module, torch.jit.ScriptModule):
                hooks.callback(module.register_forward_pre_hook(note).remove)
        first_pass()
    return calls
