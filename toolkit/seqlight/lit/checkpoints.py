"""Read the weights in a checkpoint, which anybody may have written, without running code in it."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlight.errors import InputError, kind_of
from seqlight.extras import import_extra
from seqlight.files.paths import as_path
from seqlight.lit.checkpoint_files import checkpoint_kind, damaged_checkpoint, first_line
from seqlight.lit.restricted_pickle import StandIn, original_name, stand_in_pickle

# Keys under which trainers store the weights: Lightning, plain PyTorch, and DeepSpeed.
KEYS = ("state_dict", "model_state_dict", "model", "module")
TRUST = (
    "pass trusted=True (--trusted on the command line) if you trust whoever wrote the file, for it can run any "
    "program, or load it yourself and pass the model"
)


class Checkpoint(NamedTuple):
    """What a file stores of a model.

    Attributes
    ----------
    weights : dict of str to torch.Tensor
        The state dict.
    hyper_parameters : mapping
        The arguments of a LightningModule that called ``save_hyperparameters``; what only its own code can make is a
        :class:`~seqlight.lit.restricted_pickle.StandIn`.
    hyper_parameters_name : str or None
        The argument that they are all passed as, if it is one.
    """

    weights: dict[str, Any]
    hyper_parameters: Mapping[str, Any]
    hyper_parameters_name: str | None


def read_weights(path: str | os.PathLike[str], *, trusted: bool = False) -> dict[str, Any]:
    """Return the state dict in a checkpoint.

    Parameters
    ----------
    path : str or path
        A file by ``torch.save``: a state dict, or a checkpoint of Lightning or another trainer that holds one; or one
        of safetensors.
    trusted : bool
        Load it with pickle, which can run any program in the file. Otherwise nothing in it is run, and settings and
        objects besides the weights are left out.

    Raises
    ------
    InputError
        If it is not a checkpoint, is damaged, or holds no readable weights; the message says what to do.

    Examples
    --------
    >>> import tempfile
    >>> from argparse import Namespace
    >>> import torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = {"state_dict": {"weight": torch.ones(2)}, "hyper_parameters": Namespace(width=2)}
    ...     torch.save(stored, f"{folder}/a.ckpt")
    ...     read_weights(f"{folder}/a.ckpt")
    {'weight': tensor([1., 1.])}
    """
    return read_checkpoint(path, trusted=trusted).weights


def read_checkpoint(path: str | os.PathLike[str], *, trusted: bool = False) -> Checkpoint:
    """Return the state dict in a checkpoint, as :func:`read_weights` does, and the hyper-parameters beside it."""
    file = as_path(path, "checkpoint")
    stored = _load(file, trusted)
    weights = _weights(file, _find_state_dict(stored))
    inside = stored if isinstance(stored, Mapping) else {}
    found, name = inside.get("hyper_parameters"), inside.get("hparams_name")
    return Checkpoint(weights, found if isinstance(found, Mapping) else {}, name if isinstance(name, str) else None)


def read_whole_model(path: str | os.PathLike[str]) -> nn.Module:
    """Return the model that a file holds as a whole, with its code; only for a file that is trusted.

    Raises
    ------
    InputError
        If the file holds anything else, such as weights.
    """
    file = as_path(path, "checkpoint")
    found = _load(file, trusted=True)
    if not isinstance(found, nn.Module):
        raise InputError(f"{file} holds {kind_of(found)} and no whole model: expected the class of the model as well.")
    return found


def _load(file: Path, trusted: bool) -> Any:
    kind = checkpoint_kind(file)
    if kind == "safetensors":
        return _load_safetensors(file)
    return _load_trusted(file) if trusted else _load_safely(file, kind == "zip")


def _load_safetensors(file: Path) -> dict[str, Tensor]:
    safetensors = import_extra("safetensors.torch", "safetensors")
    try:
        found: dict[str, Tensor] = safetensors.load_file(file, device="cpu")
    except Exception as error:  # it has errors of its own
        raise damaged_checkpoint(file, error) from None
    return found


def _weights(file: Path, found: Any) -> dict[str, Any]:
    """Return the weights in what may be a state dict; InputError if there are none."""
    if isinstance(found, StandIn):
        raise InputError(
            f"{file} holds a whole object, {original_name(found)}, which only its own code can make: {TRUST}."
        )
    if not isinstance(found, Mapping):
        raise InputError(f"{file} holds {kind_of(found)}: expected a state dict or a checkpoint of Lightning.")
    hidden = next((name for name, one in found.items() if isinstance(one, StandIn)), None)
    if hidden is not None:
        raise InputError(
            f"{file} holds {hidden!r} as {original_name(found[hidden])}, which only its own code can make: {TRUST}."
        )
    weights = {name: one for name, one in found.items() if isinstance(name, str) and _is_state(name, one)}
    if not weights and found:
        raise InputError(
            f"{file} holds {_names(found)} and no weights: expected a state dict or a checkpoint of Lightning."
        )
    return weights


def _find_state_dict(stored: Any) -> Any:
    """Return the state dict, which may be nested in what a trainer stored."""
    for _ in KEYS:
        if not isinstance(stored, Mapping):
            break
        nested = (stored[name] for name in KEYS if isinstance(stored.get(name), Mapping | nn.Module | StandIn))
        stored = next(nested, stored)
    return stored.state_dict() if isinstance(stored, nn.Module) else stored


def _is_state(name: str, value: Any) -> bool:
    return isinstance(value, Tensor) or name.endswith("_extra_state")


def _load_safely(path: Path, zipped: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        pass  # it names something besides tensors: read it again without that
    except Exception as error:  # torch.load raises errors of many classes
        raise damaged_checkpoint(path, error) from None
    try:
        # From memory, since torch would unpack what looks like a tar archive to the disk.
        file: IO[bytes] = path.open("rb") if zipped else io.BytesIO(path.read_bytes())
        with file:
            return torch.load(file, map_location="cpu", pickle_module=stand_in_pickle(), weights_only=False)
    except Exception as error:  # a file can call the few allowed functions with anything
        raise InputError(
            f"{path} is damaged, or cannot be read without running what it holds ({first_line(error)}): copy it "
            f"again, {TRUST}."
        ) from None


def _load_trusted(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{path} needs code that is not here ({first_line(error)}): install it, or leave out trusted=True "
            "to read the weights only."
        ) from error
    except Exception as error:  # perhaps by what the file runs
        raise damaged_checkpoint(path, error) from error


def _names(of: Iterable[Any]) -> str:
    found = [repr(name) for name in of]
    return ", ".join(found[:4]) + (" and more" if len(found) > 4 else "")
