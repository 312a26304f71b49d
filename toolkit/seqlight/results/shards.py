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
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import ResultsError
from seqlight.files.atomic import atomic_write
from seqlight.formats.npz import DAMAGE, map_member

Arrays = dict[str, NDArray[Any]]


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
        arrays = {one.filename.removesuffix(".npy"): map_member(file, one) for one in archive.infolist()}
        return Shard(arrays, _origin(archive.comment, arrays))


def check_shard(path: str | os.PathLike[str]) -> None:
    """Read all of a shard and compare it with its checksums; DamagedShard if they differ."""
    with _damage_named(path), zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise _damaged(path, f"the checksum of {bad.removesuffix('.npy')!r} is another")


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
    except DAMAGE as error:
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
