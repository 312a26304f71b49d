"""Turn PyTorch's errors about the dtype or ids of an input, or a gradient, into a sentence that says what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

import torch
from torch import Tensor

from seqlight.errors import InputError, SeqlightError
from seqlight.prediction.inputs import holds_one_hot, input_name

# What PyTorch says if an operation does not take numbers of a dtype; it has no class of error for that.
DTYPE_ERROR = re.compile(
    r"dtype|datatype|scalar type|not implemented for '|type \(.*should be the same|floating.point"
    r"|desired output type|on a bool tensor|of type LongTensor"
)

# What PyTorch says if nn.Embedding or nn.EmbeddingBag has no row for an id.
EMBEDDING_ERROR = re.compile(
    r"index out of range in self|Index \d+ of input takes value -?\d+ which is not in the valid range"
)

# What PyTorch says of a gradient where autograd is off.
GRADIENT_ERROR = "does not require grad and does not have a grad_fn"


@contextlib.contextmanager
def explain_input_errors(inputs: Sequence[object]) -> Iterator[None]:
    """Explain an error of a model that does not accept the dtype, or has no embedding for an id, of its inputs.

    The error of a model that takes a gradient in its forward, where autograd is off, is explained as well. Any other
    error of the model stays what it is, with a note of what the model was called with.

    Parameters
    ----------
    inputs : sequence
        What the model is called with.

    Raises
    ------
    InputError
        In place of PyTorch's error.
    """
    try:
        yield
    except SeqlightError:
        raise
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        ids = [f"{_describe(i, one)}, {_range(one)}" for i, one in enumerate(inputs) if _holds_ids(one)]
        if ids and EMBEDDING_ERROR.search(str(error)):
            raise InputError(
                f"the model has no embedding for one of {' and '.join(ids)} ({error}): expected ids from 0 to below "
                "the number of its embeddings; look for another tokenizer, or for padding by -1."
            ) from error
        if GRADIENT_ERROR in str(error) and not torch.is_grad_enabled():
            raise InputError(
                f"the model takes a gradient in its forward, where autograd is off ({error}): expected a forward that "
                "switches it on; write `with torch.enable_grad():` around that part of it."
            ) from error
        suspects = _suspects(inputs, str(error)) if DTYPE_ERROR.search(str(error)) else ""
        if not suspects or isinstance(error, IndexError):
            _add_note(error, inputs)
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        if _is_single_sequence(inputs[0]):
            raise InputError(
                f"the model does not take {suspects} ({reason}): expected rows; use X.unsqueeze(0) for one sequence."
            ) from error
        if "embedding" in reason and isinstance(inputs[0], Tensor) and inputs[0].ndim == 3:
            raise InputError(
                f"the model does not take {suspects} ({reason}): expected ids, which have no gradient; a model that is "
                "explained takes X.transpose(1, 2) @ embedding.weight in place of embedding(ids)."
            ) from error
        raise InputError(
            f"the model does not take {suspects} ({reason}): expected a dtype that it takes; pass .float() of integers "
            "that are numbers, and .long() of those that are ids."
        ) from error


def _add_note(error: Exception, inputs: Sequence[object]) -> None:
    """Note below an error's traceback, once, what the model was called with, and what else it may have wanted."""
    called_with = [_describe(i, one) for i, one in enumerate(inputs) if isinstance(one, Tensor)]
    note = f"The model was called with {' and '.join(called_with)}."
    if isinstance(error, TypeError) and "positional argument" in str(error):
        note += " Further inputs are passed as args, a tuple of tensors with a row for each sequence."
    elif isinstance(inputs[0], Tensor) and inputs[0].ndim == 3:
        note += (
            " A model that takes (rows, positions, letters) goes into a module whose forward calls it with "
            "X.transpose(1, 2)."
        )
    if not getattr(error, "__notes__", ()):
        error.add_note(note)


def _is_single_sequence(X: object) -> bool:
    """Return whether an input is a sequence without the dimension of rows."""
    return isinstance(X, Tensor) and X.ndim == 2 and holds_one_hot(X.unsqueeze(0))


def _suspects(inputs: Sequence[object], message: str) -> str:
    """Describe the inputs that an error about dtypes may be about: integers, or all if it is about indices."""
    about_indices = "indices" in message or "index" in message
    found = [
        _describe(i, one)
        for i, one in enumerate(inputs)
        if isinstance(one, Tensor) and (about_indices or not one.is_floating_point())
    ]
    return " and ".join(found)


def _describe(i: int, one: Tensor) -> str:
    return f"{input_name(i)} of {str(one.dtype).removeprefix('torch.')} and shape {tuple(one.shape)}"


def _range(ids: Tensor) -> str:
    return f"from {int(ids.min())} to {int(ids.max())}"


def _holds_ids(one: object) -> TypeGuard[Tensor]:
    return isinstance(one, Tensor) and not (one.is_floating_point() or one.is_complex()) and one.numel() > 0
