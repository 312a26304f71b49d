"""Borrow a user's model: put it where and how it is needed, and give all of it back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from seqlight.errors import InputError
from seqlight.prediction.pages import keeping_pages


@contextlib.contextmanager
def borrowed(model: nn.Module, device: torch.device, dtype: torch.dtype | None = None) -> Iterator[nn.Module]:
    """Lend `model` in evaluation mode, frozen, on `device`; restore everything, also after an error.

    Restored are the training mode of each submodule, ``requires_grad``, the device, dtype and identity
    of parameters and buffers, the values of buffers, and the state of the global random generators. Not
    undone is what a model writes into its own parameters, or hangs on itself as plain attributes.

    Parameters
    ----------
    model : torch.nn.Module
        Whose parameters lie on one device, or already on `device`.
    device : torch.device
        Where to run it.
    dtype : torch.dtype, optional
        For floating-point parameters and buffers; None leaves them.

    Yields
    ------
    torch.nn.Module
        The same model.
    """
    require_module(model)
    with contextlib.ExitStack() as returns:
        returns.enter_context(keeping_pages(device))
        returns.enter_context(_generators_kept(device))
        # Callbacks run last in, first out: whatever happens from here on, what was done is undone. There are few of
        # them, each for all modules, for Python collects garbage after a certain number of new objects.
        returns.callback(_restore_modes, [(module, module.training) for module in model.modules()])
        returns.callback(_restore_attributes, _plain_tensors(model))
        model.eval()
        _lend_buffers(model, device, dtype, returns)
        _lend_parameters(model, device, dtype, returns)
        yield model


def choose_device(device: str | torch.device | None) -> torch.device:
    """Return `device`, or for None the best there is: CUDA, then MPS, then the CPU."""
    if device is not None:
        try:
            found = torch.empty(0, device=device).device
        # PyTorch built without CUDA asserts that it has it.
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device is {device!r}: expected one of this machine, such as 'cpu' ({reason}).") from None
        if found.type == "meta":
            raise InputError("device is 'meta', which holds no data: expected one that computes, such as 'cpu'.")
        return found
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def floating_dtype(model: nn.Module, X: Tensor) -> torch.dtype:
    """Return the dtype in which `model` computes: that of its first floating-point parameter or buffer."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            if tensor.is_floating_point():
                return tensor.dtype
    return X.dtype if X.is_floating_point() else torch.get_default_dtype()


def require_module(model: object) -> None:
    """Raise InputError unless `model` is a torch.nn.Module."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}: expected a torch.nn.Module; wrap a function in one.")


def _restore_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        module.training = training


def _plain_tensors(model: nn.Module) -> list[tuple[nn.Module, dict[str, Tensor]]]:
    """Return what hangs on modules as such: the weight that a weight norm of old makes in each forward, say."""
    found = []
    for module in model.modules():
        plain = {name: one for name, one in vars(module).items() if isinstance(one, Tensor)}
        if plain:
            found.append((module, plain))
    return found


def _restore_attributes(attributes: list[tuple[nn.Module, dict[str, Tensor]]]) -> None:
    for module, plain in attributes:
        vars(module).update(plain)


def _moved(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def _lend_parameters(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None, returns: contextlib.ExitStack
) -> None:
    """Freeze the parameters, and put others in the place of those that are elsewhere or of another dtype.

    New data of another dtype in the same parameter would make PyTorch forget what hangs on its gradient, such as the
    hooks by which DistributedDataParallel keeps its processes alike.
    """
    copies: dict[int, nn.Parameter] = {}
    frozen: list[tuple[nn.Parameter, Tensor, bool]] = []
    returns.callback(_restore_parameters, frozen)
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is None:
                continue
            data = parameter.data
            # Tensors of inference mode take no gradients, and cannot be told so again.
            if not parameter.is_inference():
                frozen.append((parameter, data, parameter.requires_grad))
                parameter.requires_grad_(False)
            moved = _moved(data, device, dtype)
            if moved is data:
                continue
            if isinstance(module, torch.jit.ScriptModule):
                # It has the parameters that it was scripted with.
                parameter.data = moved
                continue
            # A parameter that two modules share stays shared.
            copies.setdefault(id(parameter), nn.Parameter(moved, requires_grad=False))
            # As an attribute, for recurrent modules keep a list of their parameters beside.
            returns.callback(setattr, module, name, parameter)
            setattr(module, name, copies[id(parameter)])


def _restore_parameters(frozen: list[tuple[nn.Parameter, Tensor, bool]]) -> None:
    # Backwards, for one that two modules share had been frozen when it was met again.
    for parameter, _, requires_grad in reversed(frozen):
        parameter.requires_grad_(requires_grad)
    for parameter, data, _ in reversed(frozen):
        # A Trainer inside may have converted it. Of a sparse one nobody can tell where it lies.
        strided = parameter.layout == data.layout == torch.strided
        if not strided or parameter.data_ptr() != data.data_ptr() or parameter.device != data.device:
            parameter.data = data


def _lend_buffers(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None, returns: contextlib.ExitStack
) -> None:
    # The model works on copies, so one that writes to a buffer even in evaluation mode changes nothing.
    # A buffer that two modules share stays shared.
    copies: dict[int, Tensor] = {}
    # Of all modules, for a forward may register buffers too.
    returns.callback(_restore_buffers, [(module, dict(module._buffers)) for module in model.modules()])
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is None:
                continue
            if id(buffer) not in copies:
                copies[id(buffer)] = _moved(buffer.detach().clone(), device, dtype)
            module._buffers[name] = copies[id(buffer)]


def _restore_buffers(kept: list[tuple[nn.Module, dict[str, Tensor | None]]]) -> None:
    for module, buffers in kept:
        if isinstance(module, torch.jit.ScriptModule):
            # It has the buffers that it was scripted with, and gives out copies of its dictionary.
            for name, buffer in buffers.items():
                module._buffers[name] = buffer
        elif module._buffers or buffers:
            module._buffers.clear()
            module._buffers.update(buffers)


@contextlib.contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    accelerators = [] if device.type == "cpu" else [device]
    try:
        with torch.random.fork_rng(accelerators, device_type=device.type if accelerators else "cuda"):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
