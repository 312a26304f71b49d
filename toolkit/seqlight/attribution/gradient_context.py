"""Where gradients at the input are taken: a borrowed model, autograd on, in a dtype that has the digits for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.cudnn import WITHOUT_CUDNN
from seqlight.attribution.engine.visibility import open_to_view, refuse_quantised
from seqlight.errors import InputError, SeqlightError, UnsupportedOperation
from seqlight.prediction.arguments import HALF, autocast
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype
from seqlight.prediction.inputs import DTYPE_ERROR


@contextlib.contextmanager
def differentiable(
    model: nn.Module, X: Tensor, device: torch.device, dtype: torch.dtype | None = None
) -> Iterator[None]:
    """Borrow `model` with gradients on, whatever mode the caller is in; give it back also after an error.

    Parameters
    ----------
    model : torch.nn.Module
    X : torch.Tensor
        What it will take, whose dtype counts if the model has none.
    device : torch.device
        Where to run it.
    dtype : torch.dtype, optional
        float16 and bfloat16 for autocast, another one for the parameters. None: the model's own, but float32
        for a model in half precision, whose gradients it has not the digits for.

    Raises
    ------
    UnsupportedOperation
        If parts of the model are quantised.
    InputError
        If the model names a half precision in its forward, and is to compute in another one.
    """
    refuse_quantised(model)
    parameters, own = dtype if dtype not in HALF else None, floating_dtype(model, X)
    if dtype is None and own in HALF:
        parameters = torch.float32
    with (
        _remedies_in_errors(own if parameters is not None else None),
        torch.inference_mode(False),
        borrow(model, device, parameters),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        autocast(device, dtype),
        open_to_view(model),
    ):
        yield


@contextlib.contextmanager
def _remedies_in_errors(own: torch.dtype | None) -> Iterator[None]:
    """Say what to do where a model names the half precision that it is not lent in, or has no gradient on the CPU."""
    try:
        yield
    except RuntimeError as error:
        if "FlexAttention does not support backward" in str(error):
            raise UnsupportedOperation(
                "flex_attention has no gradient on the CPU: use torch.nn.functional.scaled_dot_product_attention with "
                "attn_mask, or pass device='cuda'."
            ) from error
        if own not in HALF or isinstance(error, SeqlightError) or not DTYPE_ERROR.search(str(error)):
            raise
        short = str(own).removeprefix("torch.")
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"the model is in {short} and seems to name that in its forward ({reason}), while gradients are taken in "
            f"float32: expected a model that computes in any dtype; pass dtype={short!r}."
        ) from error


def gradients_of(outputs: Tensor, leaves: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Return for each column of `outputs`, shape (rows, targets), the gradients of its sum at each of `leaves`."""
    columns = outputs.sum(dim=0).unbind()
    return [
        torch.autograd.grad(column, leaves, retain_graph=k < len(columns) - 1, materialize_grads=True)
        for k, column in enumerate(columns)
    ]


def rows_in_batches(rows: int, batch_size: int, n: int) -> Iterator[tuple[int, int]]:
    """Yield which rows make a batch with `n` references each: the first, and the one behind the last."""
    at_once = max(1, batch_size // n)
    for first in range(0, rows, at_once):
        yield first, min(first + at_once, rows)


def without_cudnn_recurrence(model: nn.Module, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context in which a recurrent `model` on `device` has a backward pass also in evaluation mode."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    # cuDNN keeps what its backward pass needs in training mode only; PyTorch's own kernels always do.
    if device.type == "cuda" and recurrent:
        return WITHOUT_CUDNN.apply()
    return contextlib.nullcontext()


def require_dependence(outputs: Tensor) -> None:
    """Raise UnsupportedOperation unless autograd sees that `outputs` depend on something."""
    if not outputs.requires_grad:
        raise UnsupportedOperation(
            "what is explained does not depend on the sequence through differentiable operations: "
            "look for torch.no_grad(), detach() or integer conversion in forward."
        )
