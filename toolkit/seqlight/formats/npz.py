"""Arrays in npy and npz files, mapped into memory where they lie uncompressed."""

from __future__ import annotations

import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.paths import existing_file

# Of the header before each member of a zip file: its size, and where it tells the lengths of name and extra field.
_LOCAL_HEADER, _LENGTHS = 30, slice(26, 30)
# What NumPy and the zip module say of files that are damaged, cut off, or of another kind.
_DAMAGE = (
    *(ValueError, TypeError, OverflowError, SyntaxError, EOFError, OSError, RuntimeError, MemoryError),
    *(struct.error, zlib.error, zipfile.BadZipFile, zipfile.LargeZipFile, tokenize.TokenError),
)


def map_array(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Return an array of a file, read only where it is looked at.

    Parameters
    ----------
    path : str or path
        An npy file, or an npz file. Arrays of an npz file that was written with ``numpy.savez_compressed`` are
        read into memory.
    name : str
        Which array of an npz file to take, where it holds several.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    InputError
        If there is no such file or array, it holds Python objects, or less than it says.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "a.npz", X=np.arange(3), y=np.zeros(3))
    ...     map_array(Path(folder) / "a.npz", "X").tolist()
    [0, 1, 2]
    """
    file = existing_file(path, "an npy or npz file", name)
    try:
        if zipfile.is_zipfile(file):
            return _member(file, name)
        with file.open("rb") as stream:
            return _from(stream, file, file.stat().st_size)
    except InputError:
        raise
    except _DAMAGE as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file} holds no array that can be mapped ({said}): expected an npy or npz file.") from None


def _member(file: Path, name: str) -> NDArray[Any]:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if any(one.rpartition("/")[2] == "data.pkl" for one in members):
            raise InputError(f"{file} is a file of torch.save: give the tensor that torch.load reads in it.")
        # A single array may be called anything, but for what the other one of a pair is called.
        if name not in members and (len(members) != 1 or set(members) < {"X", "y"}):
            raise InputError(
                f"{file} has the arrays {', '.join(members)}: expected {name!r} among them."
                if members
                else f"{file} has no arrays: expected {name!r}."
            )
        info = members.get(name) or next(iter(members.values()))
        if info.compress_type != zipfile.ZIP_STORED:
            with archive.open(info) as stream:
                return np.lib.format.read_array(stream, allow_pickle=False)
    with file.open("rb") as stream:
        stream.seek(info.header_offset)
        # The lengths in the directory at the end of the file may differ from those here.
        name_length, extra_length = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[_LENGTHS])
        start = info.header_offset + _LOCAL_HEADER + name_length + extra_length
        stream.seek(start)
        return _from(stream, file, start + info.file_size)


def _from(stream: IO[bytes], file: Path, end: int) -> NDArray[Any]:
    """Return the array whose header the stream stands at, and which ends before `end`."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("Python objects")
    start = stream.tell()
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize > end - start:
        raise ValueError(f"{shape} numbers of {dtype} are more than the {end - start} bytes that there are")
    if 0 in shape:
        return np.empty(shape, dtype)
    order: Literal["F", "C"] = "F" if fortran else "C"
    found: NDArray[Any] = np.memmap(file, dtype, mode="r", offset=start, shape=shape, order=order)
    return found
