"""The context in which gradients are taken: a borrowed model, autograd on, a dtype with enough digits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.cudnn import WITHOUT_CUDNN
from seqlight.attribution.engine.error_context import add_hints, refuse_by_name
from seqlight.attribution.engine.graph_check import require_path as require_path
from seqlight.attribution.engine.user_rules import override_rules
from seqlight.attribution.engine.visibility import make_visible, refuse_quantised
from seqlight.attribution.kernels.packed_weights import store_packed_weights
from seqlight.attribution.rules.table_entry import Entry
from seqlight.errors import InputError, SeqlightError, UnsupportedOperation
from seqlight.prediction.arguments import HALF, autocast
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype
from seqlight.prediction.float32_precision import hold_precision
from seqlight.prediction.input_errors import DTYPE_ERROR


@contextlib.contextmanager
def borrow_with_gradients(
    model: nn.Module, X: Tensor, device: torch.device, dtype: torch.dtype | None = None
) -> Iterator[None]:
    """Borrow `model` with gradients on, whatever mode the caller is in; give it back even after an error.

    Parameters
    ----------
    model : torch.nn.Module
    X : torch.Tensor
        Its input, whose dtype counts if the model has no dtype of its own.
    device : torch.device
        Where to run it.
    dtype : torch.dtype, optional
        float16 and bfloat16 run under autocast, any other dtype is given to the parameters. None for the model's own,
        but float32 for a model in half precision, which has too few digits for gradients. On an accelerator float32
        means float32, unless the caller holds another precision.

    Raises
    ------
    UnsupportedOperation
        If parts of the model are quantised, or autograd refuses one of its operations.
    InputError
        If the model's forward names a half precision, and it is to compute in another dtype.
    """
    refuse_quantised(model)
    parameters, own = dtype if dtype not in HALF else None, floating_dtype(model, X)
    if dtype is None and own in HALF:
        parameters = torch.float32
    with (
        # First, since it may wait for other threads, which may wait for the model.
        hold_precision(None, device),
        _add_remedies(own if parameters is not None else None),
        torch.inference_mode(False),
        refuse_by_name(model),
        borrow(model, device, parameters),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        autocast(device, dtype),
        make_visible(model),
    ):
        yield


class LentModel(NamedTuple):
    """A borrowed model that is explained: the table of rules, with the user's own, and the dtype it computes in."""

    rules: dict[Any, Entry]
    dtype: torch.dtype


@contextlib.contextmanager
def borrow_with_rules(
    model: nn.Module,
    X: Tensor,
    device: torch.device,
    dtype: torch.dtype | None,
    overrides: Mapping[Any, Callable[..., Any]] | None,
) -> Iterator[LentModel]:
    """Borrow `model` as :func:`borrow_with_gradients` does, with rules for its operations."""
    with (
        borrow_with_gradients(model, X, device, dtype),
        override_rules(model, overrides) as rules,
        add_hints(dtype),
        store_packed_weights(),
    ):
        own = floating_dtype(model, X)
        yield LentModel(rules, own if dtype is None or dtype in HALF else dtype)


@contextlib.contextmanager
def _add_remedies(own: torch.dtype | None) -> Iterator[None]:
    """Say in errors what to do about a model that names a half precision, or that uses flex_attention on the CPU.

    Parameters
    ----------
    own : torch.dtype, optional
        The dtype of the model, where it was given another.
    """
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
            f"the model is in {short} and seems to name that dtype in its forward ({reason}), but gradients are taken "
            f"in float32: expected a model that computes in any dtype; pass dtype={short!r}."
        ) from error


def compute_gradients(
    outputs: Tensor, leaves: Sequence[Tensor], begin: Callable[[int], object] | None = None
) -> list[tuple[Tensor, ...]]:
    """Return for each column of `outputs` (rows, targets) the gradients of its sum, one for each of `leaves`.

    Where hooks need to know, `begin` is called with the number of each column before its gradients are taken.

    Raises
    ------
    UnsupportedOperation
        If autograd finds no path from a column to any of `leaves`.
    """
    columns, found = outputs.sum(dim=0).unbind(), list[tuple[Tensor, ...]]()
    for k, column in enumerate(columns):
        if begin is not None:
            begin(k)
        more = k < len(columns) - 1
        gradients = torch.autograd.grad(column, leaves, retain_graph=more, allow_unused=True)
        if all(one is None for one in gradients):  # which steps have, too
            require_path(column, leaves)
        found.append(
            tuple(torch.zeros_like(x) if one is None else one for one, x in zip(gradients, leaves, strict=True))
        )
    return found


def without_cudnn_recurrence(model: nn.Module, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context in which a recurrent `model` on `device` has a backward pass in evaluation mode, too."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    # cuDNN keeps what its backward pass needs only in training mode; PyTorch's own kernels always do.
    if device.type == "cuda" and recurrent:
        return WITHOUT_CUDNN.apply()
    return contextlib.nullcontext()
