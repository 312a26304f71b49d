"""One shard of a run's results: the arrays of some rows in one small file, of which single rows can be read.

The file is an npz without compression. NumPy reads it anywhere and no other library is needed; the zip that it is keeps
a checksum of every array; and what a zip stores as it is can be mapped into memory, so that one row costs one page.
(safetensors can be mapped too, but has no checksums, and is a dependency more.)
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import ResultsError
from seqlight.storage.whole import whole

Arrays = dict[str, NDArray[Any]]

# Of the header that a zip has before each member: where the lengths of name and extra field stand, and its own length.
LENGTHS, HEADER = 26, 30


def write_shard(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], *, wait: bool = True) -> None:
    """Write arrays as a file that is whole under its name, or not there.

    Parameters
    ----------
    path : str or path
        Of the file; its folder must exist.
    arrays : mapping of str to numpy.ndarray
        Of numbers.
    wait : bool
        Until the content is on the disk, as in :func:`seqlight.storage.whole.whole`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_shard(f"{folder}/a.npz", {"x": np.arange(3)})
    ...     read_shard(f"{folder}/a.npz")["x"].tolist(), np.load(f"{folder}/a.npz")["x"].tolist()
    ([0, 1, 2], [0, 1, 2])
    """
    with whole(path, wait=wait) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # Without being told, a zip leaves no room for members of more than 2 GiB.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_shard(path: str | os.PathLike[str]) -> Arrays:
    """Return the arrays of a shard, mapped and read-only: what is not looked at is not read.

    Raises
    ------
    ResultsError
        If the file is not one that :func:`write_shard` wrote.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            return {one.filename.removesuffix(".npy"): _mapped(path, file, one) for one in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, struct.error) as error:
        raise _damaged(path, str(error)) from None


def check_shard(path: str | os.PathLike[str]) -> None:
    """Read all of a shard and compare it with its checksums; ResultsError if they differ."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except zipfile.BadZipFile as error:
        raise _damaged(path, str(error)) from None
    if bad is not None:
        raise _damaged(path, f"the checksum of {bad.removesuffix('.npy')!r} is another")


def _mapped(path: str | os.PathLike[str], file: IO[bytes], member: zipfile.ZipInfo) -> NDArray[Any]:
    file.seek(member.header_offset + LENGTHS)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(member.header_offset + HEADER + name + extra)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("its arrays are of another version of NumPy's format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if not np.prod(shape):  # of nothing there is no map
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _damaged(path: str | os.PathLike[str], how: str) -> ResultsError:
    return ResultsError(
        f"{Path(path).name} is damaged ({how}): delete {path} and run again, which makes what is missing."
    )
