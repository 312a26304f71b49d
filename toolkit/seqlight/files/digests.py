"""Digests that tell whether data are the same, wherever they are stored."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Files up to this size are read whole; of larger ones blocks that add up to it, evenly spaced.
WHOLE = 64 * 2**20
BLOCK = 2**20

_known: dict[tuple[str, int, int, int], str] = {}


def digest(*parts: object) -> str:
    """Return a digest of arrays, and of anything else by its `repr`.

    Parameters
    ----------
    *parts : numpy.ndarray or other
        Of an array, shape, dtype and content count; if it is mapped from a file and larger than 64 MiB, only as much
        of the content as `digest_of_file` reads.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> digest("window", 200) == digest("window", 200), digest("window", 200) == digest("window", 201)
    (True, False)
    """
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        text = f"{part.dtype.str}{part.shape}" if isinstance(part, np.ndarray) else repr(part)
        found.update(f"{len(text)}:{text}".encode())
        if isinstance(part, np.ndarray):
            _add_array(found, part)
    return found.hexdigest()


def digest_of_file(path: str | os.PathLike[str]) -> str:
    r"""Return a digest of a file's content, whatever its name and time.

    From a file larger than 64 MiB the size and 64 blocks of 1 MiB are read, the first and the last among them:
    another assembly or version differs there, but a single letter changed elsewhere goes unnoticed. The digest is
    cached until the file's size, time or inode changes.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [Path(folder) / name for name in ("a.fa", "b.fa")]
    ...     _ = [path.write_text(">chr1\nTGACTCA\n") for path in paths]
    ...     digest_of_file(paths[0]) == digest_of_file(paths[1])
    True
    """
    file = Path(path).resolve()
    status = file.stat()
    key = (str(file), status.st_size, status.st_mtime_ns, status.st_ino)
    if key not in _known:
        found = hashlib.blake2b(str(status.st_size).encode(), digest_size=16)
        with file.open("rb") as stream:
            for start, size in _blocks(status.st_size):
                stream.seek(start)
                found.update(stream.read(size))
        _known[key] = found.hexdigest()
    return _known[key]


def _blocks(size: int) -> list[tuple[int, int]]:
    """Return start and size of each block that is read from a file of `size` bytes."""
    if size <= WHOLE:
        return [(0, size)]
    n = WHOLE // BLOCK
    return [(i * (size - BLOCK) // (n - 1), BLOCK) for i in range(n)]


def _add_array(found: Any, array: NDArray[Any]) -> None:
    if array.dtype.hasobject:
        found.update("\0".join(map(str, array.ravel().tolist())).encode())
        return
    if not isinstance(array, np.memmap) or array.nbytes <= WHOLE or not array.flags.c_contiguous:
        found.update(np.ascontiguousarray(array).data)
        return
    raw = array.reshape(-1).view(np.uint8)
    for start, size in _blocks(array.nbytes):
        found.update(raw[start : start + size].data)
