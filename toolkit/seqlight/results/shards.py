"""Write and map one shard of a run's results: the arrays of some rows, in one file.

The file is an npz without compression. NumPy reads it anywhere, and no other library is needed; as a zip it has a
checksum of every array; and uncompressed arrays can be mapped into memory, so that reading a row touches one page.
(safetensors can be mapped too, but has no checksums and would be one more dependency.) The comment of the zip says
which rows of which run the file holds, so that it cannot be mistaken for another one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
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

SHARD = re.compile(r"shard-(\d{6})\.npz")
# The six digits in these names allow no more.
MOST_SHARDS = 1_000_000


class DamagedShard(ResultsError):
    """A shard is not as it was written, and has to be made again."""


class ShardOrigin(NamedTuple):
    """The run and the rows that a shard belongs to.

    Attributes
    ----------
    run : str
        The fingerprint of the run.
    first, stop : int
        The rows, without `stop` itself.
    """

    run: str
    first: int
    stop: int


class Shard(NamedTuple):
    """The content of a file.

    Attributes
    ----------
    arrays : dict of numpy.ndarray
        Mapped and read-only: only what is looked at is read.
    origin : ShardOrigin, optional
        None if the file does not say, as before format 2 of the manifest.
    """

    arrays: Arrays
    origin: ShardOrigin | None


def shard_path(folder: Path, shard: int) -> Path:
    """Return the path of a shard in a folder."""
    return folder / f"shard-{shard:06d}.npz"


def shards_in(folder: Path) -> set[int]:
    """Return the numbers of the shards in a folder; a broken link is none."""
    found = ((one, SHARD.fullmatch(one.name)) for one in os.scandir(folder))
    return {int(name[1]) for one, name in found if name is not None and (not one.is_symlink() or _resolves(one))}


def _resolves(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except OSError:
        return False
    return True


def write_shard(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    origin: ShardOrigin | None = None,
    *,
    wait: bool = True,
) -> None:
    """Write arrays as a file that is either complete or not there.

    Parameters
    ----------
    path : str or path
        The file to write; its folder must exist.
    arrays : mapping of str to numpy.ndarray
        Numbers.
    origin : ShardOrigin, optional
        The run and the rows that these are.
    wait : bool
        Whether to wait until the content is on the disk, as in :func:`seqlight.files.atomic.atomic_write`.

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
            # By default a zip has no room for members of more than 2 GiB.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        if origin is not None:
            archive.comment = _comment(origin, arrays)


def read_shard(path: str | os.PathLike[str]) -> Arrays:
    """Return the arrays of a shard, mapped and read-only: only what is looked at is read.

    Raises
    ------
    DamagedShard
        If the file is not one that :func:`write_shard` wrote.
    ResultsError
        If it cannot be read at all.
    """
    return open_shard(path).arrays


def open_shard(path: str | os.PathLike[str]) -> Shard:
    """Return the arrays of a shard, as :func:`read_shard` does, and their origin."""
    with _damage_errors(path), open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        arrays = {one.filename.removesuffix(".npy"): map_member(file, one) for one in archive.infolist()}
        return Shard(arrays, _origin(archive.comment, arrays))


def check_shard(path: str | os.PathLike[str]) -> None:
    """Read all of a shard and compare it with its checksums; DamagedShard if they differ."""
    with _damage_errors(path), zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise _damaged(path, f"the checksum of {bad.removesuffix('.npy')!r} does not match")


def _comment(origin: ShardOrigin, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the comment that says what a shard holds, with a checksum, for a zip has none for its comment."""
    text = json.dumps({**origin._asdict(), "arrays": _layout(arrays)})
    return f"{text} {zlib.crc32(text.encode()):08x}".encode()


def _origin(comment: bytes, arrays: Mapping[str, NDArray[Any]]) -> ShardOrigin | None:
    if not comment:
        return None
    text, _, checksum = comment.decode().rpartition(" ")
    if checksum != f"{zlib.crc32(text.encode()):08x}":
        raise ValueError("the checksum of its comment does not match")
    fields = json.loads(text)
    if fields["arrays"] != _layout(arrays):
        raise ValueError("its arrays are not those of its comment")
    return ShardOrigin(fields["run"], fields["first"], fields["stop"])


def _layout(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return a digest of names, dtypes and shapes, which is compared whenever a shard is opened."""
    fields = [[name, one.dtype.str, list(one.shape)] for name, one in arrays.items()]
    return hashlib.blake2b(json.dumps(fields).encode(), digest_size=8).hexdigest()


@contextmanager
def _damage_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise DamagedShard for errors of a damaged file, and ResultsError for others, after which it must be kept."""
    try:
        yield
    except DAMAGE as error:
        raise _damaged(path, str(error)) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.EINVAL:  # an offset before the beginning of the file
            raise _damaged(path, "its lengths are not those of its arrays") from None
        raise ResultsError(
            f"{path} cannot be read ({error.strerror}): make sure that it is a file that you may read."
        ) from error


def _damaged(path: str | os.PathLike[str], how: str) -> DamagedShard:
    return DamagedShard(
        f"{Path(path).name} is damaged ({how}): delete {path} and run again, which makes what is missing."
    )
