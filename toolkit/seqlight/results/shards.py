"""One shard of a run's results: the arrays of some rows in one small file, of which single rows can be read.

The file is an npz without compression. NumPy reads it anywhere and no other library is needed; the zip that it is keeps
a checksum of every array; and what a zip stores as it is can be mapped into memory, so that one row costs one page.
(safetensors can be mapped too, but has no checksums, and is a dependency more.) In the comment of the zip stands which
rows of which run the file holds, so that it cannot be taken for another one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import ResultsError
from seqlight.files.atomic import atomic_write

Arrays = dict[str, NDArray[Any]]

# Of the header that a zip has before each member: where the lengths of name and extra field stand, and its own length.
LENGTHS, HEADER = 26, 30
# What NumPy writes before an array whose dtype has no fields.
PLAIN = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z?]\d*)', 'fortran_order': (True|False), 'shape': \(((?:\d+,? ?)*)\), \} *\n"
)
# What a zip and an array in it raise when they are not what they should be; RuntimeError where a flag says "encrypted".
NOT_WHOLE = (
    zipfile.BadZipFile, ValueError, RuntimeError, EOFError, LookupError, TypeError, OverflowError, struct.error,
    zlib.error,
)  # fmt: skip


class DamagedShard(ResultsError):
    """A shard is not as it was written: what helps is to make it again."""


class ShardOrigin(NamedTuple):
    """Where the arrays of a shard belong.

    Attributes
    ----------
    run : str
        The fingerprint of the run.
    first, stop : int
        The rows, the last one not included.
    """

    run: str
    first: int
    stop: int


class Shard(NamedTuple):
    """What lies in a file.

    Attributes
    ----------
    arrays : dict of numpy.ndarray
        Mapped and read-only: what is not looked at is not read.
    origin : ShardOrigin, optional
        None where the file does not say: seqlight wrote none before format 2 of the manifest.
    """

    arrays: Arrays
    origin: ShardOrigin | None


def write_shard(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    origin: ShardOrigin | None = None,
    *,
    wait: bool = True,
) -> None:
    """Write arrays as a file that is whole under its name, or not there.

    Parameters
    ----------
    path : str or path
        Of the file; its folder must exist.
    arrays : mapping of str to numpy.ndarray
        Of numbers.
    origin : ShardOrigin, optional
        Which rows of which run these are.
    wait : bool
        Until the content is on the disk, as in :func:`seqlight.files.atomic.atomic_write`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_shard(f"{folder}/a.npz", {"x": np.arange(3)})
    ...     read_shard(f"{folder}/a.npz")["x"].tolist(), np.load(f"{folder}/a.npz")["x"].tolist()
    ([0, 1, 2], [0, 1, 2])
    """
    with atomic_write(path, wait=wait) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # Without being told, a zip leaves no room for members of more than 2 GiB.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        if origin is not None:
            archive.comment = _comment(origin, arrays)


def read_shard(path: str | os.PathLike[str]) -> Arrays:
    """Return the arrays of a shard, mapped and read-only: what is not looked at is not read.

    Raises
    ------
    DamagedShard
        If the file is not one that :func:`write_shard` wrote.
    ResultsError
        If it cannot be read at all.
    """
    return open_shard(path).arrays


def open_shard(path: str | os.PathLike[str]) -> Shard:
    """Return the arrays of a shard, as :func:`read_shard`, and where they belong."""
    with _damage_named(path), open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        arrays = {one.filename.removesuffix(".npy"): _mapped(path, file, one) for one in members}
        return Shard(arrays, _origin(archive.comment, arrays))


def check_shard(path: str | os.PathLike[str]) -> None:
    """Read all of a shard and compare it with its checksums; DamagedShard if they differ."""
    with _damage_named(path), zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise _damaged(path, f"the checksum of {bad.removesuffix('.npy')!r} is another")


def _mapped(path: str | os.PathLike[str], file: IO[bytes], member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its arrays are compressed")
    file.seek(member.header_offset + LENGTHS)
    name, extra = struct.unpack("<HH", file.read(4))
    begin = member.header_offset + HEADER + name + extra
    file.seek(begin)
    shape, fortran, dtype = _header(file)
    # A map believes what it is told: of objects it would follow what the file has for addresses.
    length = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or file.tell() + length != begin + member.file_size:
        raise ValueError(f"{member.filename.removesuffix('.npy')!r} is not as long as its shape says")
    if not length:  # of nothing there is no map
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and dtype of an array in a file.

    NumPy reads these with the parser of Python, which in CPython 3.11 fails in one thread while it runs in another; so
    it is asked for dtypes with fields alone.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("its arrays are of another version of NumPy's format")
    begin = file.tell()
    (length,) = struct.unpack("<H", file.read(2))
    plain = PLAIN.fullmatch(file.read(length))
    if plain is None:
        file.seek(begin)
        try:
            return np.lib.format.read_array_header_1_0(file)
        except Exception as error:  # it is read as Python, which has errors of its own
            raise ValueError(f"the header of an array cannot be read: {error}") from None
    descr, fortran, shape = (one.decode() for one in plain.groups())
    return tuple(int(one) for one in shape.split(",") if one.strip()), fortran == "True", np.dtype(descr)


def _comment(origin: ShardOrigin, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return what a shard says of itself, with a checksum, for a zip has none of its comment."""
    told = json.dumps({**origin._asdict(), "arrays": _layout(arrays)})
    return f"{told} {zlib.crc32(told.encode()):08x}".encode()


def _origin(comment: bytes, arrays: Mapping[str, NDArray[Any]]) -> ShardOrigin | None:
    if not comment:
        return None
    text, _, checksum = comment.decode().rpartition(" ")
    if checksum != f"{zlib.crc32(text.encode()):08x}":
        raise ValueError("the checksum of what it says of itself is another")
    told = json.loads(text)
    if told["arrays"] != _layout(arrays):
        raise ValueError("its arrays are not those that it says it has")
    return ShardOrigin(told["run"], told["first"], told["stop"])


def _layout(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return a digest of names, dtypes and shapes, which are compared with every reading, as the numbers are not."""
    told = [[name, one.dtype.str, list(one.shape)] for name, one in arrays.items()]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()


@contextmanager
def _damage_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise ResultsError for what reading raises; where nothing says that the file is damaged, it is not to go."""
    try:
        yield
    except NOT_WHOLE as error:
        raise _damaged(path, str(error)) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the beginning of the file
            raise _damaged(path, "its lengths are not those of its arrays") from None
        raise ResultsError(
            f"{path} cannot be read ({error.strerror}): see to it that it is a file that you may read."
        ) from error


def _damaged(path: str | os.PathLike[str], how: str) -> DamagedShard:
    return DamagedShard(
        f"{Path(path).name} is damaged ({how}): delete {path} and run again, which makes what is missing."
    )
