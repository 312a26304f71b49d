"""Borrow a user's model: put it where and how it is needed, and give all of it back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqlight.prediction.arguments import require_module
from seqlight.prediction.borrowed_model.attributes import Attributes
from seqlight.prediction.borrowed_model.loans import Loan, Loans, Tensors
from seqlight.prediction.borrowed_model.memory_pages import keep_freed_pages
from seqlight.prediction.borrowed_model.random_generators import preserve_generators


@contextlib.contextmanager
def borrow(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None = None, *, attributes: bool = False
) -> Iterator[nn.Module]:
    """Lend `model` in evaluation mode, frozen, on `device`; restore everything, also after an error.

    Several threads may have one model, or models that share modules, at once: the last gives back what the first took.
    One that wants it in another dtype or on another device waits until it is free.

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
    attributes : bool
        Restore plain attributes as well: those that a forward sets, such as what it has cached.

    Yields
    ------
    torch.nn.Module
        The same model.
    """
    require_module(model)
    with keep_freed_pages(device), preserve_generators(device):
        taken = _LOANS.take(model, device, dtype)
        try:
            for loan in taken if attributes else ():
                loan.hung = loan.hung or Attributes(loan.module)
            yield model
        finally:
            _LOANS.give_back(taken)


def floating_dtype(model: nn.Module, X: Tensor) -> torch.dtype:
    """Return the dtype in which `model` computes: that of its first floating-point parameter or buffer."""
    for kind in (0, 1):
        for module in model.modules():
            for tensor in _LOANS.own(module)[kind].values():
                if tensor is not None and tensor.is_floating_point():
                    return tensor.dtype
    return X.dtype if X.is_floating_point() else torch.get_default_dtype()


def _moved(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def _lend(loans: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> None:
    for loan in loans:
        _set_mode(loan.module, False)
    # Another thread may take part in it that wants gradients.
    with torch.inference_mode(False) if torch.is_inference_mode_enabled() else contextlib.nullcontext():
        _lend_buffers(loans, device, dtype)
        _lend_parameters(loans, device, dtype)


def _restore(loan: Loan) -> None:
    """Give a module back, all of it whatever fails."""
    module = loan.module
    try:
        for name in loan.replaced:
            setattr(module, name, loan.parameters[name])
    finally:
        try:
            _restore_parameters(loan)
        finally:
            _restore_buffers(module, loan.buffers)
            if loan.hung is not None:
                loan.hung.restore()
            vars(module).update(loan.plain)
            _set_mode(module, loan.training)


def _set_mode(module: nn.Module, training: bool) -> None:
    if type(module).__setattr__ is nn.Module.__setattr__ and "training" in vars(module):
        # Which is what that comes to, after a search for parameters of this name.
        vars(module)["training"] = training
    else:
        module.training = training


def _lend_parameters(loans: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> None:
    """Freeze the parameters, and put others in the place of those that are elsewhere or of another dtype.

    New data of another dtype in the same parameter would make PyTorch forget what hangs on its gradient, such as the
    hooks by which DistributedDataParallel keeps its processes alike.
    """
    copies: dict[int, nn.Parameter] = {}
    for loan in loans:
        for name, parameter in list(loan.module._parameters.items()):
            if parameter is None:
                continue
            data = parameter.data
            # Tensors of inference mode take no gradients, and cannot be told so again.
            if not parameter.is_inference():
                loan.data.append((parameter, data))
                _freeze(loan, parameter)
            moved = _moved(data, device, dtype)
            if moved is data:
                continue
            if isinstance(loan.module, torch.jit.ScriptModule):
                # It has the parameters that it was scripted with.
                parameter.data = moved
                continue
            # A parameter that two modules share stays shared.
            copies.setdefault(id(parameter), nn.Parameter(moved, requires_grad=False))
            # As an attribute, for recurrent modules keep a list of their parameters beside.
            loan.replaced.append(name)
            setattr(loan.module, name, copies[id(parameter)])


def _freeze(loan: Loan, parameter: nn.Parameter) -> None:
    # Counted for itself, for modules that different threads have may share it.
    loan.frozen.append(parameter)
    _, requires_grad, times = _FROZEN.get(id(parameter), (parameter, parameter.requires_grad, 0))
    _FROZEN[id(parameter)] = parameter, requires_grad, times + 1
    parameter.requires_grad_(False)


def _restore_parameters(loan: Loan) -> None:
    for parameter in loan.frozen:
        _, requires_grad, times = _FROZEN.pop(id(parameter))
        if times > 1:
            _FROZEN[id(parameter)] = parameter, requires_grad, times - 1
        else:
            parameter.requires_grad_(requires_grad)
    for parameter, data in reversed(loan.data):
        # A Trainer inside may have converted it. Of a sparse one nobody can tell where it lies.
        strided = parameter.layout == data.layout == torch.strided
        if not strided or parameter.data_ptr() != data.data_ptr() or parameter.device != data.device:
            parameter.data = data


def _lend_buffers(loans: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> None:
    # The model works on copies, so one that writes to a buffer even in evaluation mode changes nothing.
    # A buffer that two modules share stays shared.
    copies: dict[int, Tensor] = {}
    for loan in loans:
        for name, buffer in loan.module._buffers.items():
            if buffer is None:
                continue
            if id(buffer) not in copies:
                copies[id(buffer)] = _moved(buffer.detach().clone(), device, dtype)
            loan.module._buffers[name] = copies[id(buffer)]


def _restore_buffers(module: nn.Module, buffers: Tensors) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        # It has the buffers that it was scripted with, and gives out copies of its dictionary.
        for name, buffer in buffers.items():
            module._buffers[name] = buffer
    elif module._buffers or buffers:
        module._buffers.clear()
        module._buffers.update(buffers)


# Parameters that are frozen, by which they are known: whether they took gradients, and in how many loans they are.
_FROZEN: dict[int, tuple[nn.Parameter, bool, int]] = {}
_LOANS = Loans(_lend, _restore)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LOANS.after_fork)
