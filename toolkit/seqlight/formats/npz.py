"""Arrays in npy and npz files, mapped into memory where they are stored without compression."""

from __future__ import annotations

import math
import os
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.paths import existing_file

# The local header of a zip member: its size, and where it has the lengths of the name and of the extra field.
_HEADER, _LENGTHS = 30, 26
# The header that NumPy writes for an array whose dtype has no fields.
_PLAIN = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z?]\d*)', 'fortran_order': (True|False), 'shape': \(((?:\d+,? ?)*)\), \} *\n"
)
#: What NumPy and the zip module raise for files that are damaged, cut off, or of another kind.
DAMAGE = (
    *(ValueError, TypeError, OverflowError, LookupError, EOFError, RuntimeError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)


def map_array(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    """Return an array of a file, of which only what is looked at is read.

    Parameters
    ----------
    path : str or path
        An npy file, or an npz file. Arrays of an npz file that ``numpy.savez_compressed`` wrote are read into memory.
    name : str
        Which array of an npz file to take, where it holds several.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    InputError
        If there is no such file or array, it holds Python objects, or fewer numbers than it says.

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
            return _from_npz(file, name)
        with open(str(file), "rb") as stream:
            return _map_here(stream, file.stat().st_size)
    except InputError:
        raise
    except (*DAMAGE, zipfile.LargeZipFile, OSError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file} holds no array that can be mapped ({reason}): expected an npy or npz file.") from None


def map_member(file: IO[bytes], member: zipfile.ZipInfo, *, exact: bool = True) -> NDArray[Any]:
    """Return an array of an open npz file, mapped; it must be stored without compression.

    Parameters
    ----------
    file : file
        The npz file.
    member : zipfile.ZipInfo
        The array's entry in it.
    exact : bool
        Whether bytes behind the array, inside of the member, are an error.

    Raises
    ------
    ValueError, or another of `DAMAGE`
        If the array is compressed, holds Python objects, or does not fit the member.
    """
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its arrays are compressed")
    file.seek(member.header_offset + _LENGTHS)
    # The lengths in the directory at the end of the file may differ from those here.
    name_length, extra_length = struct.unpack("<HH", file.read(4))
    start = member.header_offset + _HEADER + name_length + extra_length
    file.seek(start)
    return _map_here(file, start + member.file_size, exact=exact)


def _from_npz(file: Path, name: str) -> NDArray[Any]:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if any(one.rpartition("/")[2] == "data.pkl" for one in members):
            raise InputError(f"{file} is a file of torch.save: give the tensor that torch.load reads in it.")
        # A single array may have any name but that of the other one of a pair.
        if name not in members and (len(members) != 1 or set(members) < {"X", "y"}):
            raise InputError(
                f"{file} has the arrays {', '.join(members)}: expected {name!r} among them."
                if members
                else f"{file} has no arrays: expected {name!r}."
            )
        member = members.get(name) or next(iter(members.values()))
        if member.compress_type != zipfile.ZIP_STORED:
            with archive.open(member) as stream:
                return _read_compressed(stream)
    with open(str(file), "rb") as stream:
        return map_member(stream, member, exact=False)


def _read_compressed(stream: IO[bytes]) -> NDArray[Any]:
    try:
        return np.lib.format.read_array(stream, allow_pickle=False)
    except (*DAMAGE, OSError, MemoryError):
        raise
    except Exception as error:  # the header is parsed as Python, whose parser has errors of its own
        raise ValueError(f"the header of an array cannot be read: {error}") from None


def _map_here(file: IO[bytes], end: int, *, exact: bool = False) -> NDArray[Any]:
    """Map the array whose header begins at the file's position, and whose numbers end at `end`, or before."""
    shape, fortran, dtype = _read_header(file)
    # A map would follow the bytes of Python objects as if they were addresses.
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    size, room = math.prod(shape) * dtype.itemsize, end - file.tell()
    if min(shape, default=0) < 0 or size > room or (exact and size != room):
        raise ValueError(f"an array of shape {shape} {dtype} does not fit the {room} bytes that there are")
    if not size:  # an empty map is an error
        return np.empty(shape, dtype)
    order: Literal["F", "C"] = "F" if fortran else "C"
    found: NDArray[Any] = np.memmap(file, dtype, "r", file.tell(), shape, order)
    return found


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape of an array in a file, whether it is in Fortran's order, and its dtype.

    NumPy parses headers as Python, and in CPython 3.11 that parser fails in one thread while it runs in another: so
    NumPy is only asked where the dtype has fields.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError("its arrays are of another version of NumPy's format")
    start = file.tell()
    (length,) = struct.unpack("<H", file.read(2)) if version == (1, 0) else struct.unpack("<I", file.read(4))
    plain = _PLAIN.fullmatch(file.read(length))
    if plain is None:
        file.seek(start)
        try:
            if version == (1, 0):
                return np.lib.format.read_array_header_1_0(file)
            return np.lib.format.read_array_header_2_0(file)
        except Exception as error:  # the parser of Python has errors of its own
            raise ValueError(f"the header of an array cannot be read: {error}") from None
    descr, fortran, shape = (one.decode() for one in plain.groups())
    return tuple(int(one) for one in shape.split(",") if one.strip()), fortran == "True", np.dtype(descr)
