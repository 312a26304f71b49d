"""Read the weights in a checkpoint, which anybody may have written, without running code in it."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Never

import torch
from torch import Tensor, nn

from seqlight.errors import InputError, kind_of
from seqlight.files.paths import as_path
from seqlight.lit.restricted_pickle import StandIn, original_name, stand_in_pickle

ZIP = b"PK\x03\x04"
# Keys under which trainers store the weights: Lightning, plain PyTorch, and DeepSpeed.
KEYS = ("state_dict", "model_state_dict", "model", "module")
# First bytes of files that are mistaken for checkpoints, and what to do about them.
MISTAKEN = {
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself: fetch that with `git lfs pull`",
    b"\x89HDF": "an HDF5 file, such as Keras writes: load the weights into the model yourself, and pass the model",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"<": "a page of HTML or XML, such as a failed download leaves: download the file itself",
}
TRUST = (
    "pass trusted=True if you trust whoever wrote the file, for it can run any program, or load it yourself and pass "
    "the model"
)


def read_weights(path: str | os.PathLike[str], *, trusted: bool = False) -> dict[str, Any]:
    """Return the state dict in a checkpoint.

    Parameters
    ----------
    path : str or path
        A file by ``torch.save``: a state dict, or a checkpoint of Lightning or another trainer that holds one.
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
    file = as_path(path, "checkpoint")
    _require_checkpoint(file)
    found = _find_state_dict(_load_trusted(file) if trusted else _load_safely(file))
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


def _load_safely(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        pass  # it names something besides tensors: read it again without that
    except Exception as error:  # torch.load raises errors of many classes
        raise _damaged(path, error) from None
    try:
        # From memory, since torch would unpack what looks like a tar archive to the disk.
        zipped = _begins_as_zip(path)
        file: IO[bytes] = path.open("rb") if zipped else io.BytesIO(path.read_bytes())
        with file:
            return torch.load(file, map_location="cpu", pickle_module=stand_in_pickle(), weights_only=False)
    except Exception as error:  # a file can call the few allowed functions with anything
        raise InputError(
            f"{path} is damaged, or cannot be read without running what it holds ({_first_line(error)}): copy it "
            f"again, {TRUST}."
        ) from None


def _load_trusted(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{path} needs code that is not here ({_first_line(error)}): install it, or leave out trusted=True "
            "to read the weights only."
        ) from error
    except Exception as error:  # perhaps by what the file runs
        raise _damaged(path, error) from error


def _require_checkpoint(path: Path) -> None:
    """Raise InputError if the path or the first bytes show that this is not a checkpoint."""
    if path.is_dir():
        _refuse_folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(1 << 10)
    except FileNotFoundError:
        raise InputError(
            f"there is no checkpoint {str(path)!r}: expected a file that torch.save has written."
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): expected a file that you may read.") from None
    if not head:
        raise InputError(f"{path} is empty: expected a file that torch.save has written; was it copied in full?")
    for beginning, what in MISTAKEN.items():
        if head.lstrip().startswith(beginning):
            raise InputError(f"{path} is {what}.")
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        raise InputError(
            f"{path} is a file of safetensors: load it yourself, model.load_state_dict("
            "safetensors.torch.load_file(path)), and pass the model."
        )
    if head.startswith(ZIP):
        _require_torch_zip(path)
    elif not head.startswith(b"\x80"):
        raise InputError(f"{path} is no checkpoint: expected a file that torch.save has written.")


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(ZIP)) == ZIP


def _require_torch_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
            damaged = _damaged_members(archive)
    except (zipfile.BadZipFile, ValueError, RuntimeError, OSError) as error:
        raise _damaged(path, error) from None
    if "constants.pkl" in names:
        raise InputError(
            f"{path} is a TorchScript archive, a program and not weights: load it with torch.jit.load, and save "
            "its state_dict()."
        )
    if "data.pkl" not in names:
        raise InputError(f"{path} is a zip that torch.save has not written: expected a state dict or a checkpoint.")
    if damaged:
        raise _damaged(path, ValueError(f"the checksum of {damaged[0]} does not match"))


def _damaged_members(archive: zipfile.ZipFile) -> list[str]:
    """Return the members that differ from their checksums, which torch ignores; none if the file has no checksums."""
    damaged = []
    for name in archive.namelist():
        try:
            with archive.open(name) as member:
                while member.read(1 << 20):
                    pass
        except zipfile.BadZipFile:
            damaged.append(name)
    # With torch.serialization.set_crc32_options(False), no member has a checksum.
    return damaged if len(damaged) < len(archive.namelist()) else []


def _refuse_folder(path: Path) -> Never:
    if (path / "zero_to_fp32.py").exists() or any(path.glob("*zero_pp_rank*")) or any(path.glob("*/*zero_pp_rank*")):
        raise InputError(
            f"{path} is a folder of DeepSpeed: make one file of it with its zero_to_fp32.py, and pass that."
        )
    if (path / ".metadata").exists() or any(path.glob("*.distcp")):
        raise InputError(
            f"{path} is a folder of a distributed checkpoint (FSDP): make one file of it with python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch, and pass that."
        )
    raise InputError(f"{path} is a folder: expected one file that torch.save has written.")


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged or no checkpoint ({_first_line(error)}): copy or save it again.")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")


def _names(of: Iterable[Any]) -> str:
    found = [repr(name) for name in of]
    return ", ".join(found[:4]) + (" and more" if len(found) > 4 else "")
