"""Tell by its first bytes whether a file is a checkpoint, and say what to do with one that is not."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal, Never

from seqlight.errors import InputError

ZIP = b"PK\x03\x04"
# First bytes of files that are mistaken for checkpoints, and what to do about them.
MISTAKEN = {
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself: fetch that with `git lfs pull`",
    b"\x89HDF": "an HDF5 file, such as Keras writes: load the weights into the model yourself, and pass the model",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"<": "a page of HTML or XML, such as a failed download leaves: download the file itself",
}


def checkpoint_kind(path: Path) -> Literal["zip", "pickle", "safetensors"]:
    """Return what a checkpoint is by its first bytes.

    Returns
    -------
    {"zip", "pickle", "safetensors"}
        torch.save writes a zip, and before PyTorch 1.6 wrote a pickle.

    Raises
    ------
    InputError
        If it is no checkpoint, or a damaged one.
    """
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
        return "safetensors"
    if head.startswith(ZIP):
        _require_torch_zip(path)
        return "zip"
    if head.startswith(b"\x80"):
        return "pickle"
    # The first field of a model in ONNX is the number of its version.
    if path.suffix.lower() == ".onnx" or (head[:1] == b"\x08" and head[2:3] == b"\x12"):
        raise InputError(
            f"{path} is a model of ONNX, a program and not weights: save the state_dict() of the PyTorch model that it "
            "was exported from."
        )
    raise InputError(f"{path} is no checkpoint: expected a file that torch.save has written.")


def _require_torch_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
            damaged = _damaged_members(archive)
    except (zipfile.BadZipFile, ValueError, RuntimeError, OSError) as error:
        raise damaged_checkpoint(path, error) from None
    if "model.weights.h5" in names:
        raise InputError(
            f"{path} is a model of Keras: load the weights into a PyTorch model, and save its state_dict()."
        )
    if "constants.pkl" in names:
        raise InputError(
            f"{path} is a TorchScript archive, a program and not weights: load it with torch.jit.load, and save "
            "its state_dict()."
        )
    if "data.pkl" not in names:
        raise InputError(f"{path} is a zip that torch.save has not written: expected a state dict or a checkpoint.")
    if damaged:
        raise damaged_checkpoint(path, ValueError(f"the checksum of {damaged[0]} does not match"))


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


def damaged_checkpoint(path: Path, error: Exception) -> InputError:
    """Return the error about a file that cannot be read as a checkpoint."""
    return InputError(f"{path} is damaged or no checkpoint ({first_line(error)}): copy or save it again.")


def first_line(error: Exception) -> str:
    """Return the first line of an error, or else its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
