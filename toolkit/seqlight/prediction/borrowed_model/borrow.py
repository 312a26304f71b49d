"""Borrow a user's model: prepare it for a call, on the device and in the dtype needed, and restore all of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqlight.prediction.arguments import require_module
from seqlight.prediction.borrowed_model.attributes import AttributeSnapshot
from seqlight.prediction.borrowed_model.loans import Loan, LoanRegister, Tensors
from seqlight.prediction.borrowed_model.memory_pages import keep_freed_pages
from seqlight.prediction.borrowed_model.random_generators import preserve_generators
from seqlight.prediction.device_memory import is_out_of_memory, out_of_memory_error, shorten_reason


@contextlib.contextmanager
def borrow(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None = None, *, attributes: bool = False
) -> Iterator[nn.Module]:
    """Lend `model` in evaluation mode, frozen, on `device`; restore everything, also after an error.

    Several threads may borrow one model, or models that share modules, at the same time: the last to finish restores
    what the first one found. A thread that needs another dtype or device waits until the model is free.

    Restored are the training mode of each submodule, ``requires_grad``, the device, dtype and identity of parameters
    and buffers, the values of buffers, and the state of the global random generators. Not undone is what a model
    writes into its own parameters, or sets on itself as plain attributes.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters lie on one device, or already on `device`.
    device : torch.device
        Where to run it.
    dtype : torch.dtype, optional
        For floating-point parameters and buffers; None leaves them unchanged.
    attributes : bool
        Restore plain attributes too, such as caches that a forward fills.

    Yields
    ------
    torch.nn.Module
        The same model.

    Raises
    ------
    OutOfMemory
        If `device` has no room for its parameters.
    """
    require_module(model)
    with keep_freed_pages(device), preserve_generators(device):
        loans = _acquire(model, device, dtype)
        try:
            for loan in loans if attributes else ():
                loan.attributes = loan.attributes or AttributeSnapshot(loan.module)
            yield model
        finally:
            _LOANS.release(loans)


def _acquire(model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> list[Loan]:
    """Return loans of all modules; OutOfMemory if the model does not fit on the device."""
    try:
        return _LOANS.acquire(model, device, dtype)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = shorten_reason(error)
    # Not in the handler, where the error would keep the parameters that have a copy already.
    raise out_of_memory_error(device, "the parameters of the model", reason, "use a smaller dtype")


def device_of(model: nn.Module, otherwise: torch.device) -> torch.device:
    """Return the device of the first parameter or buffer of `model`, or `otherwise` if it has none."""
    return next((one.device for group in (model.parameters(), model.buffers()) for one in group), otherwise)


def floating_dtype(model: nn.Module, X: Tensor) -> torch.dtype:
    """Return the dtype in which `model` computes: that of its first floating-point parameter or buffer."""
    for kind in (0, 1):
        for module in model.modules():
            for tensor in _LOANS.own_tensors(module)[kind].values():
                if tensor is not None and tensor.is_floating_point():
                    return tensor.dtype
    return X.dtype if X.is_floating_point() else torch.get_default_dtype()


def _converted(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def _lend(loans: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> None:
    for loan in loans:
        _set_training(loan.module, False)
    # Outside inference mode, since a thread that needs gradients may join the loan later.
    with torch.inference_mode(False) if torch.is_inference_mode_enabled() else contextlib.nullcontext():
        _lend_buffers(loans, device, dtype)
        _lend_parameters(loans, device, dtype)


def _restore(loan: Loan) -> None:
    """Restore all of a module, whichever step fails."""
    module = loan.module
    try:
        for name in loan.replaced:
            setattr(module, name, loan.parameters[name])
    finally:
        try:
            _restore_parameters(loan)
        finally:
            _restore_buffers(module, loan.buffers)
            if loan.attributes is not None:
                loan.attributes.restore()
            vars(module).update(loan.plain_tensors)
            _set_training(module, loan.training)


def _set_training(module: nn.Module, training: bool) -> None:
    if type(module).__setattr__ is nn.Module.__setattr__ and "training" in vars(module):
        # The same as below without nn.Module's search for a parameter of this name.
        vars(module)["training"] = training
    else:
        module.training = training


def _lend_parameters(loans: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> None:
    """Freeze the parameters, and substitute copies for those on another device or of another dtype.

    Giving the same parameter data of another dtype would make PyTorch drop its gradient accumulator, and with it the
    hooks by which DistributedDataParallel keeps its processes in step.
    """
    copies: dict[int, nn.Parameter] = {}
    for loan in loans:
        for name, parameter in list(loan.module._parameters.items()):
            if parameter is None:
                continue
            data = parameter.data
            # A parameter made in inference mode takes no gradients, and its requires_grad cannot be set.
            if not parameter.is_inference():
                loan.data.append((parameter, data))
                _freeze(loan, parameter)
            moved = _converted(data, device, dtype)
            is_scripted = isinstance(loan.module, torch.jit.ScriptModule)
            if moved is data and parameter.is_inference() and not is_scripted:
                moved = data.clone()  # autograd saves no tensor that was made in inference mode
            if moved is data:
                continue
            if is_scripted:
                # Its parameters cannot be replaced, only their data.
                parameter.data = moved
                continue
            # A parameter that two modules share stays shared.
            copies.setdefault(id(parameter), nn.Parameter(moved, requires_grad=False))
            # With setattr, since recurrent modules keep a list of their parameters, too.
            loan.replaced.append(name)
            setattr(loan.module, name, copies[id(parameter)])


def _freeze(loan: Loan, parameter: nn.Parameter) -> None:
    # Counted per parameter, since modules borrowed by different threads may share it.
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
        # A Trainer may have converted it meanwhile. A sparse tensor has no address to compare, so it is always set.
        strided = parameter.layout == data.layout == torch.strided
        if not strided or parameter.data_ptr() != data.data_ptr() or parameter.device != data.device:
            parameter.data = data


def _lend_buffers(loans: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> None:
    # The model works on copies, so nothing is lost if it writes to a buffer, even in evaluation mode.
    # A buffer that two modules share stays shared.
    copies: dict[int, Tensor] = {}
    for loan in loans:
        for name, buffer in loan.module._buffers.items():
            if buffer is None:
                continue
            if id(buffer) not in copies:
                copies[id(buffer)] = _converted(buffer.detach().clone(), device, dtype)
            loan.module._buffers[name] = copies[id(buffer)]


def _restore_buffers(module: nn.Module, buffers: Tensors) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        # Its set of buffers is fixed, and `_buffers` is a copy of the dictionary: nothing to clear.
        for name, buffer in buffers.items():
            module._buffers[name] = buffer
    elif module._buffers or buffers:
        module._buffers.clear()
        module._buffers.update(buffers)


# By id, each frozen parameter: whether it required gradients, and in how many loans it is.
_FROZEN: dict[int, tuple[nn.Parameter, bool, int]] = {}
_LOANS = LoanRegister(_lend, _restore)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LOANS.after_fork)
